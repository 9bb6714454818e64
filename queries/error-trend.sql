-- ---
-- name     = "error-trend"
-- title    = "Errors over time"
-- question = "Since when does it fail, and is it getting worse?"
-- common   = ["since", "until", "host", "model", "code", "bucket", "tz"]
-- coverage = ["unknown", "rejects", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the hour (of UTC), day or week (of --tz); times without any are shown"},
--   {name = "incident_count", type = "bigint", meaning = "Failures that began in it"},
--   {name = "change", type = "bigint", meaning = "incident_count less that of the step before; empty in the first"},
--   {name = "before_count", type = "bigint", meaning = "Failures at the same place of the period before, as long as from --since to --until; empty without --since and where the log does not reach back"},
--   {name = "is_burst", type = "boolean", meaning = "At least 5 failures, and more than the median of all steps and three times the median distance from it"},
--   {name = "error_count", below = true, type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests that ended in it, failed or not"},
--   {name = "failed_count", type = "bigint", meaning = "Of these, answered with an error"},
--   {name = "failed_share", type = "double", unit = "share", meaning = "failed_count of request_count"},
-- ]
-- ---
with clock as (  -- Hours are those of UTC: a local hour comes twice, or never, on the day the clocks change.
    select case when $bucket = 'hour' then 'UTC' else $tz end as zone, case $bucket when 'hour' then interval '1' hour when 'day' then interval '1' day else interval '7' day end as step,
        greatest(min(first_ts), $since) as first_ts, least(max(last_ts), cast($until as timestamptz) - interval '1' microsecond) as last_ts,
        coalesce($until, max(last_ts) + interval '1' microsecond) - cast($since as timestamptz) as length, cast($since as timestamptz) as since, min(first_ts) as begun from sources where coalesce(host = $host, true)
),
failures as (  -- shift: what happened in the period before is put where it would stand in this one
    select i.first_ts as ts, coalesce(i.first_ts < k.since, false) as is_before, case when i.first_ts < k.since then k.length else interval '0' second end as shift
    from incidents as i cross join clock as k left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= k.since - k.length, $since is null) and coalesce(i.first_ts < $until, $until is null)
      and coalesce(i.code = $code, $code is null) and ($model is null or $model = any(i.models)) and coalesce(s.host = $host, $host is null)
),
quarters as (  -- a day of every zone begins at a quarter of an hour: many rows become few before the calendar is asked
    select cast(floor(extract(epoch from e.ts) / 900) as bigint) as quarter, count(*) as errors, 0 as requests, 0 as failed
    from errors as e
    where coalesce(e.code = $code, $code is null) and coalesce(e.model = $model, $model is null) and coalesce(e.host = $host, $host is null)
      and coalesce(e.ts >= $since, $since is null) and coalesce(e.ts < $until, $until is null) group by 1
    union all
    select cast(floor(extract(epoch from r.ts_end) / 900) as bigint), 0, count(*), count(*) filter (where r.outcome like 'failed%' and coalesce(r.code = $code, $code is null))
    from requests as r left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference and r.surface = 'ollama' and coalesce(r.model = $model, $model is null) and coalesce(s.host = $host, $host is null)
      and coalesce(r.ts_end >= $since, $since is null) and coalesce(r.ts_end < $until, $until is null) group by 1
),
counted as (
    select date_trunc($bucket, h.ts at time zone k.zone) as bucket, sum(h.incidents) as incidents, sum(h.before) as before, sum(h.errors) as errors, sum(h.requests) as requests, sum(h.failed) as failed
    from (select ts + shift as ts, cast(not is_before as integer) as incidents, cast(is_before as integer) as before, 0 as errors, 0 as requests, 0 as failed from failures
        union all select to_timestamp(quarter * 900), 0, 0, errors, requests, failed from quarters) as h cross join clock as k group by 1
),
buckets as (
    select k.*, unnest(generate_series(date_trunc($bucket, first_ts at time zone zone), date_trunc($bucket, last_ts at time zone zone), step)) as bucket from clock as k
),
rows_of_time as (
    select b.bucket, b.zone, coalesce(c.incidents, 0) as incidents, median(coalesce(c.incidents, 0)) over () as middle, case when b.begun <= b.since - b.length then coalesce(c.before, 0) end as before,
        coalesce(c.errors, 0) as errors, coalesce(c.requests, 0) as requests, coalesce(c.failed, 0) as failed from buckets as b left join counted as c on c.bucket = b.bucket
)
select bucket at time zone zone as bucket, cast(incidents as bigint) as incident_count, cast(incidents - lag(incidents) over (order by bucket) as bigint) as change, cast(before as bigint) as before_count,
    incidents >= 5 and incidents > middle + 3 * median(abs(incidents - middle)) over () as is_burst, cast(errors as bigint) as error_count, cast(requests as bigint) as request_count,
    cast(failed as bigint) as failed_count, cast(failed as double) / nullif(requests, 0) as failed_share
from rows_of_time order by bucket
