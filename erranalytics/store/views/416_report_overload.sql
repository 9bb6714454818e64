-- The rows of the report overload: how many requests were turned away because of too much load, where, and how long
-- were they asked to wait?
create or replace macro report_overload(
    period_start, period_end, of_host, of_model, of_endpoint, of_code, least_count
) as table
with attempts as (
    select
        r.surface as seen_at, r.endpoint, r.model, r.status, r.code, r.ts_end as ts, r.event_id,
        null as retry_after_s, null as maintenance_until, s.host
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where not r.is_poll and r.answered_by is null
    union all
    select
        'client', c.endpoint, c.model, c.http_status, c.code, c.ts_end, null,
        cast(c.retry_after_s as bigint),
        cast(c.maintenance_until as varchar),
        c.host
    from calls as c
    where c.request_id is null
      and not exists (
          select 1
          from requests as g
          where g.surface = 'gateway'
            and g.endpoint = c.endpoint
            and g.status = c.http_status
            and g.ts_end between c.ts_end - interval '2' second and c.ts_end + interval '1' second
      )
),
chosen_attempts as (
    select *
    from attempts
    where in_period(ts, period_start, period_end)
      and matches(host, of_host)
      and matches(model, of_model)
      and matches(endpoint, of_endpoint)
),
-- a 503 of a gateway that has no channel for the model is not overload: the cause decides, not the status
hourly_counts as (
    select h.*, a.request_count
    from (
        select
            t.seen_at, t.endpoint, t.model, t.status, t.code,
            date_trunc('hour', t.ts at time zone 'UTC') at time zone 'UTC' as hour,
            c.remedy,
            count(*) as n,
            max(coalesce(t.retry_after_s, e.retry_after_s)) as retry_after_s,
            max(coalesce(t.maintenance_until, e.maintenance_until)) as maintenance_until,
            min(t.ts) as first_ts,
            max(t.ts) as last_ts
        from chosen_attempts as t
        inner join causes as c
            on c.code = t.code and c.category = 'overload' and matches(c.code, of_code)
        left join errors as e on e.event_id = t.event_id
        group by t.seen_at, t.endpoint, t.model, t.status, t.code, 6, c.remedy
    ) as h
    inner join (
        select seen_at, endpoint, model, count(*) as request_count
        from chosen_attempts
        group by seen_at, endpoint, model
    ) as a
        on a.seen_at = h.seen_at
            and a.endpoint is not distinct from h.endpoint
            and a.model is not distinct from h.model
)
select
    seen_at, endpoint, model, status, code,
    cast(sum(n) as bigint) as turned_away_count,
    cast(any_value(request_count) as bigint) as request_count,
    case
        when any_value(request_count) >= least_count
            then cast(sum(n) as double) / any_value(request_count)
    end as share,
    max_by(hour, row(n, -epoch(hour))) as worst_ts,
    max(n) as worst_count,
    max(retry_after_s) as retry_after_s,
    max(maintenance_until) as maintenance_until,
    min(first_ts) as first_ts,
    max(last_ts) as last_ts,
    any_value(split_part(remedy, '. ', 1)) as remedy
from hourly_counts
group by seen_at, endpoint, model, status, code;
