-- The rows of the report stream-trend: since when do streams break, and how sure is that?
create or replace macro report_stream_trend(
    period_start, period_end, of_host, of_model, of_endpoint, of_bucket, of_zone, least_count
) as table
with clock as (
    -- Hours are in UTC: on the day the clocks change, a local hour occurs twice or not at all.
    select
        case when of_bucket = 'hour' then 'UTC' else of_zone end as zone,
        case of_bucket
            when 'hour' then interval '1' hour
            when 'day' then interval '1' day
            else interval '7' day
        end as step,
        greatest(min(first_ts), period_start) as first_ts,
        least(max(last_ts), cast(period_end as timestamptz) - interval '1' microsecond) as last_ts
    from sources
    where matches(host, of_host)
),
counts as (
    select
        date_trunc(of_bucket, t.ts_end at time zone k.zone) as bucket,
        count(*) as streams,
        count(*) filter (
            where t.stream_outcome not in ('cancelled_by_client', 'not_observable')
        ) as known,
        count(*) filter (
            where t.stream_outcome in ('failed_before_first_byte', 'failed_mid_stream', 'truncated')
        ) as bad,
        count(*) filter (where t.stream_outcome = 'cancelled_by_client') as cancelled,
        count(*) filter (where t.is_suspected and t.stream_outcome = 'not_observable') as suspected,
        count(*) filter (where t.stream_outcome = 'not_observable') as unseen
    from streams as t
    cross join clock as k
    left join server_sessions as s on s.session_id = t.session_id
    where in_period(t.ts_end, period_start, period_end)
      and matches(s.host, of_host)
      and matches(t.model, of_model)
      and matches(t.endpoint, of_endpoint)
    group by 1
),
buckets as (
    select
        zone,
        unnest(
            generate_series(
                date_trunc(of_bucket, first_ts at time zone zone),
                date_trunc(of_bucket, last_ts at time zone zone),
                step
            )
        ) as bucket
    from clock
),
rates as (
    select
        b.zone, b.bucket, c.streams, c.known, c.bad, c.cancelled, c.suspected, c.unseen,
        case when c.known >= greatest(least_count, 1) then c.known end as n
    from buckets as b
    left join counts as c on c.bucket = b.bucket
)
select
    bucket at time zone zone as bucket,
    coalesce(streams, 0) as stream_count,
    coalesce(known, 0) as known_count,
    coalesce(bad, 0) as bad_count,
    coalesce(cancelled, 0) as cancelled_count,
    coalesce(suspected, 0) as suspected_count,
    coalesce(unseen, 0) as not_observable_count,
    bad / cast(n as double) as failure_rate,
    wilson_low(bad, n) as rate_low,
    wilson_high(bad, n) as rate_high
from rates;
