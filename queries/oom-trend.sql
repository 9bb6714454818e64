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
--   {name = "change", type = "bigint", meaning = "incident_count less that of this code in the step before; empty in the first"},
--   {name = "before_count", type = "bigint", meaning = "Failures at the same place of the period before, as long as from --since to --until; empty without --since and where the log does not reach back"},
--   {name = "is_burst", type = "boolean", meaning = "At least 5 failures, and more than the median of all steps of this code and three times the median distance from it"},
--   {name = "request_count", type = "bigint", meaning = "Requests they took with them"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
-- ]
-- ---
with clock as (
    select case when $bucket = 'hour' then 'UTC' else $tz end as zone, case $bucket when 'hour' then interval '1' hour when 'day' then interval '1' day else interval '7' day end as step,
        greatest(min(first_ts), $since) as first_ts, least(max(last_ts), cast($until as timestamptz) - interval '1' microsecond) as last_ts,
        coalesce($until, max(last_ts) + interval '1' microsecond) - cast($since as timestamptz) as length, cast($since as timestamptz) as since, min(first_ts) as begun
    from sources where coalesce(host = $host, true)
),
buckets as (
    select k.*, unnest(generate_series(date_trunc($bucket, first_ts at time zone zone), date_trunc($bucket, last_ts at time zone zone), step)) as bucket from clock as k
),
failures as (  -- what happened in the period before is put where it would stand in this one
    select date_trunc($bucket, (i.first_ts + case when i.first_ts < k.since then k.length else interval '0' second end) at time zone k.zone) as bucket, i.code,
        coalesce(i.first_ts < k.since, false) as is_before, i.request_count as requests
    from incidents as i cross join clock as k
    inner join causes as c on c.code = i.code and c.category = 'memory'
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= k.since - k.length, $since is null) and coalesce(i.first_ts < $until, $until is null)
      and coalesce(s.host = $host, $host is null) and ($model is null or $model = any(i.models)) and coalesce(i.code = $code, $code is null)
),
counted as (
    select bucket, code, count(*) filter (where not is_before) as incidents, count(*) filter (where is_before) as before, coalesce(sum(requests) filter (where not is_before), 0) as requests
    from failures group by bucket, code
),
dense as (  -- each code in each step, so that its zeros count
    select b.bucket, b.zone, d.code, coalesce(c.incidents, 0) as incidents, coalesce(c.requests, 0) as requests, median(coalesce(c.incidents, 0)) over (partition by d.code) as middle,
        case when b.begun <= b.since - b.length then coalesce(c.before, 0) end as before
    from buckets as b cross join (select distinct code from counted) as d left join counted as c on c.bucket = b.bucket and c.code = d.code
),
judged as (
    select *, incidents - lag(incidents) over (partition by code order by bucket) as change, incidents >= 5 and incidents > middle + 3 * median(abs(incidents - middle)) over (partition by code) as is_burst from dense
)
select b.bucket at time zone b.zone as bucket, j.code, coalesce(j.incidents, 0) as incident_count, j.change, case when b.begun <= b.since - b.length then coalesce(j.before, 0) end as before_count, coalesce(j.is_burst, false) as is_burst,
    cast(coalesce(j.requests, 0) as bigint) as request_count, t.title
from buckets as b left join judged as j on j.bucket = b.bucket and (j.incidents > 0 or j.before > 0)
left join causes as t on t.code = j.code
order by bucket, incident_count desc, j.code
