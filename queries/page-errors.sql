-- ---
-- name     = "page-errors"
-- title    = "Failures over time, by category"
-- question = "When did it fail, and with what kind of cause?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = "Width of the step: minute or hour (of UTC), day, week, month or year (of --tz)"},
--   {name = "category", type = "varchar", meaning = "Category of the cause; other for all but the six most frequent, empty when there was none"},
--   {name = "place", type = "bigint", meaning = "Rank of the category, 7 for other"},
--   {name = "incident_count", type = "bigint", meaning = "Failures of severity error or critical that began in it"},
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
failures as (
    select date_trunc(k.width, i.first_ts at time zone k.zone) as bucket, coalesce(c.category, 'unknown') as category
    from incidents as i cross join clock as k
    left join causes as c on c.code = i.code
    left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('error', 'critical') and coalesce(i.first_ts >= $since, $since is null)
      and coalesce(i.first_ts < $until, $until is null) and coalesce(s.host = $host, $host is null)
),
ranked as (
    select category, row_number() over (order by count(*) desc, category) as place from failures group by category
),
counted as (
    select f.bucket, case when r.place > 6 then 'other' else r.category end as category, least(r.place, 7) as place, count(*) as incident_count
    from failures as f inner join ranked as r on r.category = f.category
    group by 1, 2, 3
)
select b.bucket at time zone b.zone as bucket, b.width, c.category, c.place, coalesce(c.incident_count, 0) as incident_count
from buckets as b left join counted as c on c.bucket = b.bucket
order by bucket, c.place
