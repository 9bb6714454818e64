-- The rows of the report page-errors: when did it fail, and with what kind of cause?
create or replace macro report_page_errors(period_start, period_end, of_host, of_zone, of_width) as table
with clock as (select * from chart_clock(of_width, of_zone, period_start, period_end, of_host)),
buckets as (
    select
        width, zone,
        unnest(
            generate_series(
                date_trunc(width, first_ts at time zone zone),
                date_trunc(width, last_ts at time zone zone),
                step
            )
        ) as bucket
    from clock
),
failures as (
    select
        date_trunc(k.width, i.first_ts at time zone k.zone) as bucket,
        coalesce(c.category, 'unknown') as category
    from incidents as i
    cross join clock as k
    left join causes as c on c.code = i.code
    left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('error', 'critical')
      and in_period(i.first_ts, period_start, period_end)
      and matches(s.host, of_host)
),
category_ranks as (
    select category, row_number() over (order by count(*) desc, category) as place
    from failures
    group by category
),
counts as (
    select
        f.bucket,
        case when r.place > 6 then 'other' else r.category end as category,
        least(r.place, 7) as place,
        count(*) as incident_count
    from failures as f
    inner join category_ranks as r on r.category = f.category
    group by 1, 2, 3
)
select
    b.bucket at time zone b.zone as bucket,
    b.width, c.category, c.place,
    coalesce(c.incident_count, 0) as incident_count
from buckets as b
left join counts as c on c.bucket = b.bucket;
