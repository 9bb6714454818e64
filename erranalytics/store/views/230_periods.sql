-- The logs of a period and a host.
create or replace macro logs_of(from_ts, to_ts, of_host) as table
select
    count(*) as source_count,
    min(first_ts) as first_ts,
    max(last_ts) as last_ts,
    array_agg(distinct host order by host) filter (where host is not null) as hosts
from sources
where coalesce(host = of_host, of_host is null)
  and coalesce(last_ts >= from_ts, from_ts is null)
  and coalesce(first_ts < to_ts, to_ts is null);

-- The steps of a chart: as wide as of_width, else as the period needs. Local time is expensive to compute, and zones
-- differ by quarters of an hour, so it is computed once per quarter (grain, seconds).
create or replace macro chart_clock(of_width, of_zone, from_ts, to_ts, of_host) as table
with span as (
    select min(first_ts) as first_ts, max(last_ts) as last_ts
    from sources
    where coalesce(host = of_host, true)
),
period as (
    select
        greatest(first_ts, from_ts) as first_ts,
        least(last_ts, cast(to_ts as timestamptz) - interval '1' microsecond) as last_ts
    from span
)
select
    p.first_ts, p.last_ts, w.width,
    case when w.width in ('minute', 'hour') then 'UTC' else of_zone end as zone,
    w.step,
    case w.width when 'minute' then 60 else 900 end as grain
from period as p
cross join (
    values ('minute', interval '1' minute, interval '2' hour),
    ('hour', interval '1' hour, interval '4' day), ('day', interval '1' day, interval '120' day),
    ('week', interval '7' day, interval '900' day),
    ('month', interval '1' month, interval '4000' day),
    ('year', interval '1' year, interval '100000' day)
) as w (width, step, up_to)
where coalesce(w.width = of_width, of_width is null and p.last_ts - p.first_ts < w.up_to)
order by w.up_to
limit 1;
