-- The rows of the report page-streams: when did streams complete, fail or break off?
create or replace macro report_page_streams(period_start, period_end, of_host, of_zone, of_width) as table
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
quarters as (
    select
        cast(floor(extract(epoch from t.ts_end) / k.grain) as bigint) * k.grain as begins,
        case
            when t.stream_outcome like 'failed%' then 'failed'
            when t.stream_outcome = 'not_observable' and t.is_suspected then 'suspected'
            else t.stream_outcome
        end as outcome,
        count(*) as n
    from streams as t
    cross join clock as k
    left join server_sessions as s on s.session_id = t.session_id
    where in_period(t.ts_end, period_start, period_end) and matches(s.host, of_host)
    group by 1, 2
),
counts as (
    select
        date_trunc(k.width, to_timestamp(q.begins) at time zone k.zone) as bucket,
        sum(n) filter (where q.outcome = 'completed') as completed,
        sum(n) filter (where q.outcome = 'failed') as failed,
        sum(n) filter (where q.outcome = 'truncated') as truncated,
        sum(n) filter (where q.outcome = 'cancelled_by_client') as cancelled,
        sum(n) filter (where q.outcome = 'suspected') as suspected,
        sum(n) filter (where q.outcome = 'not_observable') as unseen
    from quarters as q
    cross join clock as k
    group by 1
)
select
    b.bucket at time zone b.zone as bucket,
    b.width,
    cast(coalesce(c.completed, 0) as bigint) as completed_count,
    cast(coalesce(c.failed, 0) as bigint) as failed_count,
    cast(coalesce(c.truncated, 0) as bigint) as truncated_count,
    cast(coalesce(c.cancelled, 0) as bigint) as cancelled_count,
    cast(coalesce(c.suspected, 0) as bigint) as suspected_count,
    cast(coalesce(c.unseen, 0) as bigint) as not_observable_count
from buckets as b
left join counts as c on c.bucket = b.bucket;
