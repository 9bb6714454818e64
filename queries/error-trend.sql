-- ---
-- name     = "error-trend"
-- title    = "Errors over time"
-- question = "Since when does it fail, and is it getting worse?"
-- common   = ["since", "until", "host", "model", "code", "bucket", "tz"]
-- coverage = ["unknown", "rejects", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the hour (of UTC), day or week (of --tz); times without any are shown"},
--   {name = "incident_count", type = "bigint", meaning = "Failures that began in it"},
--   {name = "error_count", type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests that ended in it, failed or not"},
--   {name = "failed_count", type = "bigint", meaning = "Of these, answered with an error"},
--   {name = "failed_share", type = "double", unit = "share", meaning = "failed_count of request_count"},
-- ]
-- ---
with clock as (
    -- Hours are those of UTC: a local hour comes twice, or never, on the day the clocks change.
    select case when $bucket = 'hour' then 'UTC' else $tz end as zone,
        case $bucket when 'hour' then interval '1' hour when 'day' then interval '1' day else interval '7' day end as step,
        greatest(min(first_ts), $since) as first_ts,
        least(max(last_ts), cast($until as timestamptz) - interval '1' microsecond) as last_ts
    from sources
    where coalesce(host = $host, true)
),
happenings as (
    select i.first_ts as ts, 1 as incident, 0 as error, 0 as request, 0 as failed
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.code = $code, $code is null) and ($model is null or $model = any(i.models))
      and coalesce(s.host = $host, $host is null)
    union all
    select e.ts, 0, 1, 0, 0
    from errors as e
    where coalesce(e.code = $code, $code is null) and coalesce(e.model = $model, $model is null)
      and coalesce(e.host = $host, $host is null)
    union all
    select r.ts_end, 0, 0, 1, case when r.outcome like 'failed%' and coalesce(r.code = $code, $code is null) then 1 else 0 end
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference and r.surface = 'ollama' and coalesce(r.model = $model, $model is null) and coalesce(s.host = $host, $host is null)
),
counted as (
    select date_trunc($bucket, h.ts at time zone k.zone) as bucket, sum(h.incident) as incidents, sum(h.error) as errors,
        sum(h.request) as requests, sum(h.failed) as failed
    from happenings as h cross join clock as k
    where coalesce(h.ts >= $since, $since is null) and coalesce(h.ts < $until, $until is null) group by 1
),
buckets as (
    select zone, unnest(generate_series(
        date_trunc($bucket, first_ts at time zone zone), date_trunc($bucket, last_ts at time zone zone), step)) as bucket
    from clock
)
select
    b.bucket at time zone b.zone as bucket,
    cast(coalesce(c.incidents, 0) as bigint) as incident_count, cast(coalesce(c.errors, 0) as bigint) as error_count,
    cast(coalesce(c.requests, 0) as bigint) as request_count, cast(coalesce(c.failed, 0) as bigint) as failed_count,
    cast(c.failed as double) / nullif(c.requests, 0) as failed_share
from buckets as b
left join counted as c on c.bucket = b.bucket
order by bucket
