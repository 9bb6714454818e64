-- ---
-- name     = "page-streams"
-- title    = "How streams ended"
-- question = "When did streams complete, fail or break off?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = "Width of the step: minute or hour (of UTC), day, week, month or year (of --tz)"},
--   {name = "completed_count", type = "bigint", meaning = "Proven to have finished"},
--   {name = "failed_count", type = "bigint", meaning = "Ended with an error, before or after the first byte"},
--   {name = "truncated_count", type = "bigint", meaning = "Ended without a last chunk"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client went away"},
--   {name = "suspected_count", type = "bigint", meaning = "Logged as 200 although the runner died; not among the next"},
--   {name = "not_observable_count", type = "bigint", meaning = "Logged as 200, which proves nothing"},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step; without it, as wide as the period needs"
-- ---
with clock as (select * from chart_clock($width, $tz, $since, $until, $host)),
buckets as (
    select width, zone, unnest(generate_series(
        date_trunc(width, first_ts at time zone zone), date_trunc(width, last_ts at time zone zone), step)) as bucket
    from clock
),
quarters as (
    select cast(floor(extract(epoch from t.ts_end) / k.grain) as bigint) * k.grain as begins,
        case when t.stream_outcome like 'failed%' then 'failed' when t.stream_outcome = 'not_observable' and t.is_suspected then 'suspected' else t.stream_outcome end as outcome,
        count(*) as n
    from streams as t cross join clock as k left join server_sessions as s on s.session_id = t.session_id
    where coalesce(t.ts_end >= $since, $since is null) and coalesce(t.ts_end < $until, $until is null)
      and coalesce(s.host = $host, $host is null)
    group by 1, 2
),
counted as (
    select date_trunc(k.width, to_timestamp(q.begins) at time zone k.zone) as bucket,
        sum(n) filter (where q.outcome = 'completed') as completed, sum(n) filter (where q.outcome = 'failed') as failed,
        sum(n) filter (where q.outcome = 'truncated') as truncated, sum(n) filter (where q.outcome = 'cancelled_by_client') as cancelled,
        sum(n) filter (where q.outcome = 'suspected') as suspected, sum(n) filter (where q.outcome = 'not_observable') as unseen
    from quarters as q cross join clock as k
    group by 1
)
select b.bucket at time zone b.zone as bucket, b.width, cast(coalesce(c.completed, 0) as bigint) as completed_count, cast(coalesce(c.failed, 0) as bigint) as failed_count,
    cast(coalesce(c.truncated, 0) as bigint) as truncated_count, cast(coalesce(c.cancelled, 0) as bigint) as cancelled_count,
    cast(coalesce(c.suspected, 0) as bigint) as suspected_count, cast(coalesce(c.unseen, 0) as bigint) as not_observable_count
from buckets as b left join counted as c on c.bucket = b.bucket
order by bucket
