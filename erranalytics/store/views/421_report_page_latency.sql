-- The rows of the report page-latency: how long did requests take, and did that change?
create or replace macro report_page_latency(period_start, period_end, of_host, of_zone, of_width) as table
with clock as (select * from chart_clock(of_width, of_zone, period_start, period_end, of_host)),
quarters as (
    select width, zone, begins, date_trunc(width, to_timestamp(begins) at time zone zone) as bucket
    from (
        select
            width, zone,
            unnest(
                generate_series(
                    cast(floor(extract(epoch from first_ts) / grain) as bigint) * grain,
                    cast(floor(extract(epoch from last_ts)) as bigint),
                    grain
                )
            ) as begins
        from clock
    ) as q
),
timings as (
    select
        cast(floor(extract(epoch from r.ts_end) / k.grain) as bigint) * k.grain as begins,
        r.duration_us
    from requests as r
    cross join clock as k
    left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference
      and r.surface = 'ollama'
      and r.status < 400
      and r.duration_us is not null
      and in_period(r.ts_end, period_start, period_end)
      and matches(s.host, of_host)
),
counts as (
    select q.bucket, count(*) as request_count, percentile_disc(0.5) within
    group (order by t.duration_us) as p50, percentile_disc(0.9) within
    group (order by t.duration_us) as p90, percentile_disc(0.99) within
    group (order by t.duration_us) as p99
    from timings as t
    inner join quarters as q on q.begins = t.begins
    group by q.bucket
)
select
    b.bucket at time zone b.zone as bucket,
    b.width,
    coalesce(c.request_count, 0) as request_count,
    cast(c.p50 as bigint) as p50_us,
    cast(c.p90 as bigint) as p90_us,
    cast(c.p99 as bigint) as p99_us
from (select distinct bucket, width, zone from quarters) as b
left join counts as c on c.bucket = b.bucket;
