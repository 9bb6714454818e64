-- The rows of the report streaming-failures: how many streams failed, and how many can be judged at all?
create or replace macro report_streaming_failures(
    period_start, period_end, of_host, of_model, of_endpoint, least_count, grouping_name
) as table
with counts as (
    select
        case when grouping(r.name) = 1 then 'all' else r.name end as endpoint,
        count(*) as stream_count,
        count(*) filter (where r.stream_outcome = 'completed') as completed_count,
        count(*) filter (
            where r.stream_outcome in ('failed_before_first_byte', 'failed_mid_stream')
        ) as failed_count,
        count(*) filter (where r.stream_outcome = 'truncated') as truncated_count,
        count(*) filter (where r.stream_outcome = 'cancelled_by_client') as cancelled_count,
        count(*) filter (
            where r.is_suspected and r.stream_outcome = 'not_observable'
        ) as suspected_count,
        count(*) filter (where r.stream_outcome = 'not_observable') as not_observable_count
    from (
        select
            t.*, s.host,
            coalesce(
                case grouping_name
                    when 'model' then t.model
                    when 'client' then t.client
                    when 'version' then s.version
                    else t.endpoint
                end,
                '?'
            ) as name
        from streams as t
        left join server_sessions as s on s.session_id = t.session_id
    ) as r
    where in_period(r.ts_end, period_start, period_end)
      and matches(r.host, of_host)
      and matches(r.model, of_model)
      and matches(r.endpoint, of_endpoint)
    group by grouping sets ((r.name), ())
),
rates as (
    select *, case when known_count >= greatest(least_count, 1) then known_count end as n
    from (
        select
            *,
            failed_count + truncated_count as bad_count,
            completed_count + failed_count + truncated_count as known_count
        from counts
    ) as c
)
select
    endpoint, stream_count, known_count, failed_count, truncated_count, cancelled_count,
    suspected_count, not_observable_count,
    not_observable_count / cast(nullif(stream_count, 0) as double) as not_observable_share,
    bad_count,
    bad_count / cast(n as double) as failure_rate,
    wilson_low(bad_count, n) as rate_low,
    wilson_high(bad_count, n) as rate_high,
    bad_count / cast(nullif(stream_count - cancelled_count, 0) as double) as at_least,
    case
        when n is null then 'too few'
        when completed_count = 0 then 'only failures are provable from a server log: read at_least'
    end as note
from rates;
