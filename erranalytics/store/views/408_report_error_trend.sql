-- The rows of the report error-trend: since when does it fail, and is it getting worse?
create or replace macro report_error_trend(
    period_start, period_end, of_host, of_model, of_code, of_bucket, of_zone
) as table
-- Hours are in UTC: on the day the clocks change, a local hour occurs twice or not at all.
with clock as (
    select
        case when of_bucket = 'hour' then 'UTC' else of_zone end as zone,
        case of_bucket
            when 'hour' then interval '1' hour
            when 'day' then interval '1' day
            else interval '7' day
        end as step,
        greatest(min(first_ts), period_start) as first_ts,
        least(max(last_ts), cast(period_end as timestamptz) - interval '1' microsecond) as last_ts,
        coalesce(
            period_end,
            max(last_ts) + interval '1' microsecond
        ) - cast(period_start as timestamptz) as length,
        cast(period_start as timestamptz) as since,
        min(first_ts) as begun
    from sources
    where matches(host, of_host)
),
-- shift: moves the previous period onto this one
failures as (
    select
        i.first_ts as ts,
        coalesce(i.first_ts < k.since, false) as is_before,
        case when i.first_ts < k.since then k.length else interval '0' second end as shift
    from incidents as i
    cross join clock as k
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= k.since - k.length, period_start is null)
      and coalesce(i.first_ts < period_end, period_end is null)
      and matches(i.code, of_code)
      and one_matches(i.models, of_model)
      and matches(s.host, of_host)
),
-- days of every zone begin at a quarter of an hour: grouping by quarters first leaves few rows for the calendar
quarters as (
    select
        cast(floor(extract(epoch from e.ts) / 900) as bigint) as quarter,
        count(*) as errors,
        0 as requests, 0 as failed
    from errors as e
    where matches(e.code, of_code)
      and matches(e.model, of_model)
      and matches(e.host, of_host)
      and in_period(e.ts, period_start, period_end)
    group by 1
    union all
    select
        cast(floor(extract(epoch from r.ts_end) / 900) as bigint),
        0,
        count(*),
        count(*) filter (where r.outcome like 'failed%' and matches(r.code, of_code))
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference
      and r.surface = 'ollama'
      and matches(r.model, of_model)
      and matches(s.host, of_host)
      and in_period(r.ts_end, period_start, period_end)
    group by 1
),
counts as (
    select
        date_trunc(of_bucket, h.ts at time zone k.zone) as bucket,
        sum(h.incidents) as incidents,
        sum(h.before) as before,
        sum(h.errors) as errors,
        sum(h.requests) as requests,
        sum(h.failed) as failed
    from (
        select
            ts + shift as ts,
            cast(not is_before as integer) as incidents,
            cast(is_before as integer) as before,
            0 as errors, 0 as requests, 0 as failed
        from failures
        union all
        select to_timestamp(quarter * 900), 0, 0, errors, requests, failed
        from quarters
    ) as h
    cross join clock as k
    group by 1
),
buckets as (
    select
        k.*,
        unnest(
            generate_series(
                date_trunc(of_bucket, first_ts at time zone zone),
                date_trunc(of_bucket, last_ts at time zone zone),
                step
            )
        ) as bucket
    from clock as k
),
steps as (
    select
        b.bucket, b.zone,
        coalesce(c.incidents, 0) as incidents,
        median(coalesce(c.incidents, 0)) over () as middle,
        case when b.begun <= b.since - b.length then coalesce(c.before, 0) end as before,
        coalesce(c.errors, 0) as errors,
        coalesce(c.requests, 0) as requests,
        coalesce(c.failed, 0) as failed
    from buckets as b
    left join counts as c on c.bucket = b.bucket
)
select
    bucket at time zone zone as bucket,
    cast(incidents as bigint) as incident_count,
    cast(incidents - lag(incidents) over (order by bucket) as bigint) as change,
    cast(before as bigint) as before_count,
    incidents >= 5 and incidents > middle + 3 * median(abs(incidents - middle)) over () as is_burst,
    cast(errors as bigint) as error_count,
    cast(requests as bigint) as request_count,
    cast(failed as bigint) as failed_count,
    cast(failed as double) / nullif(requests, 0) as failed_share
from steps;
