-- ---
-- name     = "page-latency"
-- title    = "How long requests took"
-- question = "How long did requests take, and did that change?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = "Width of the step: minute or hour (of UTC), day, week, month or year (of --tz)"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests answered with a status below 400 that ended in it"},
--   {name = "p50_us", type = "bigint", unit = "us", meaning = "Half of them took no longer"},
--   {name = "p90_us", type = "bigint", unit = "us", meaning = "Nine of ten took no longer"},
--   {name = "p99_us", type = "bigint", unit = "us", meaning = "99 of 100 took no longer; of fewer than 100 the slowest"},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step; without it, as wide as the period needs"
-- ---
with clock as (select * from chart_clock($width, $tz, $since, $until, $host)),
quarters as (
    select width, zone, begins, date_trunc(width, to_timestamp(begins) at time zone zone) as bucket
    from (
        select width, zone, unnest(generate_series(cast(floor(extract(epoch from first_ts) / grain) as bigint) * grain,
            cast(floor(extract(epoch from last_ts)) as bigint), grain)) as begins
        from clock
    ) as q
),
timed as (
    select cast(floor(extract(epoch from r.ts_end) / k.grain) as bigint) * k.grain as begins, r.duration_us
    from requests as r cross join clock as k left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference and r.surface = 'ollama' and r.status < 400 and r.duration_us is not null
      and coalesce(r.ts_end >= $since, $since is null) and coalesce(r.ts_end < $until, $until is null)
      and coalesce(s.host = $host, $host is null)
),
counted as (
    select q.bucket, count(*) as request_count,
        percentile_disc(0.5) within group (order by t.duration_us) as p50,
        percentile_disc(0.9) within group (order by t.duration_us) as p90,
        percentile_disc(0.99) within group (order by t.duration_us) as p99
    from timed as t inner join quarters as q on q.begins = t.begins
    group by q.bucket
)
select b.bucket at time zone b.zone as bucket, b.width, coalesce(c.request_count, 0) as request_count,
    cast(c.p50 as bigint) as p50_us, cast(c.p90 as bigint) as p90_us, cast(c.p99 as bigint) as p99_us
from (select distinct bucket, width, zone from quarters) as b left join counted as c on c.bucket = b.bucket
order by bucket
