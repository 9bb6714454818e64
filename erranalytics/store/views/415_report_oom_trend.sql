-- The rows of the report oom-trend: when did memory run out, and how?
create or replace macro report_oom_trend(
    period_start, period_end, of_host, of_model, of_code, of_bucket, of_zone
) as table
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
-- moves the previous period onto this one
failures as (
    select
        date_trunc(
            of_bucket,
            (
                i.first_ts + case
                    when i.first_ts < k.since then k.length
                    else interval '0' second
                end
            ) at time zone k.zone
        ) as bucket,
        i.code,
        coalesce(i.first_ts < k.since, false) as is_before,
        i.request_count as requests
    from incidents as i
    cross join clock as k
    inner join causes as c on c.code = i.code and c.category = 'memory'
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= k.since - k.length, period_start is null)
      and coalesce(i.first_ts < period_end, period_end is null)
      and matches(s.host, of_host)
      and one_matches(i.models, of_model)
      and matches(i.code, of_code)
),
counts as (
    select
        bucket, code,
        count(*) filter (where not is_before) as incidents,
        count(*) filter (where is_before) as before,
        coalesce(sum(requests) filter (where not is_before), 0) as requests
    from failures
    group by bucket, code
),
-- each code in each step, so that steps without it count as zero
code_steps as (
    select
        b.bucket, b.zone, d.code,
        coalesce(c.incidents, 0) as incidents,
        coalesce(c.requests, 0) as requests,
        median(coalesce(c.incidents, 0)) over (partition by d.code) as middle,
        case when b.begun <= b.since - b.length then coalesce(c.before, 0) end as before
    from buckets as b
    cross join (select distinct code from counts) as d
    left join counts as c on c.bucket = b.bucket and c.code = d.code
),
code_trends as (
    select
        *,
        incidents - lag(incidents) over (partition by code order by bucket) as change,
        incidents >= 5
            and incidents > middle + 3 * median(
                abs(incidents - middle)
            ) over (partition by code) as is_burst
    from code_steps
)
select
    b.bucket at time zone b.zone as bucket,
    j.code,
    coalesce(j.incidents, 0) as incident_count,
    j.change,
    case when b.begun <= b.since - b.length then coalesce(j.before, 0) end as before_count,
    coalesce(j.is_burst, false) as is_burst,
    cast(coalesce(j.requests, 0) as bigint) as request_count,
    t.title
from buckets as b
left join code_trends as j on j.bucket = b.bucket and (j.incidents > 0 or j.before > 0)
left join causes as t on t.code = j.code;
