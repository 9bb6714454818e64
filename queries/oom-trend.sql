-- ---
-- name     = "oom-trend"
-- title    = "Memory failures over time"
-- question = "When did memory run out, and how?"
-- common   = ["since", "until", "host", "model", "code", "bucket", "tz"]
-- coverage = ["unknown", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the hour (of UTC), day or week (of --tz); times without any are shown"},
--   {name = "code", type = "varchar", meaning = "Code of category memory; empty when there was none"},
--   {name = "incident_count", type = "bigint", meaning = "Failures that began in it"},
--   {name = "request_count", type = "bigint", meaning = "Requests they took with them"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
-- ]
-- ---
with clock as (
    select case when $bucket = 'hour' then 'UTC' else $tz end as zone,
        case $bucket when 'hour' then interval '1' hour when 'day' then interval '1' day else interval '7' day end as step,
        greatest(min(first_ts), $since) as first_ts,
        least(max(last_ts), cast($until as timestamptz) - interval '1' microsecond) as last_ts
    from sources
    where coalesce(host = $host, true)
),
buckets as (
    select unnest(generate_series(
        date_trunc($bucket, first_ts at time zone zone), date_trunc($bucket, last_ts at time zone zone), step)) as bucket
    from clock
),
happenings as (
    select date_trunc($bucket, i.first_ts at time zone k.zone) as bucket, i.code, i.request_count, c.title
    from incidents as i
    cross join clock as k
    inner join causes as c on c.code = i.code and c.category = 'memory'
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= $since, $since is null)
      and coalesce(i.first_ts < $until, $until is null)
      and coalesce(s.host = $host, $host is null)
      and ($model is null or $model = any(i.models))
      and coalesce(i.code = $code, $code is null)
)
select
    b.bucket at time zone any_value(k.zone) as bucket, h.code, count(h.code) as incident_count,
    cast(coalesce(sum(h.request_count), 0) as bigint) as request_count, any_value(h.title) as title
from buckets as b
cross join clock as k
left join happenings as h on h.bucket = b.bucket
group by b.bucket, h.code
order by bucket, incident_count desc, h.code
