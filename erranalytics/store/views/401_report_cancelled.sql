-- The rows of the report cancelled: who gives up, after how long, and is it a timeout?
create or replace macro report_cancelled(period_start, period_end, of_host, of_model, of_endpoint) as table
with requests_and_calls as (
    select
        r.endpoint,
        case when c.call_id is null then 'server' else 'both' end as seen_by,
        r.ts_end,
        coalesce(c.duration_ms, r.duration_us / 1000.0) as ms,
        coalesce(c.code, r.code) as code,
        s.host,
        coalesce(r.model, c.model) as model,
        r.outcome = 'cancelled_by_client'
            or c.outcome = 'cancelled_by_client'
            or coalesce(c.cause = 'client_timeout', false) as is_cancelled
    from requests as r
    left join calls as c on c.request_id = r.request_id
    left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference and r.surface = 'ollama'
    union all
    select
        c.endpoint, 'client', c.ts_end, c.duration_ms, c.code, c.host, c.model,
        c.outcome = 'cancelled_by_client' or coalesce(c.cause = 'client_timeout', false)
    from calls as c
    where c.is_inference and c.request_id is null
),
chosen_requests as (
    select *, case when is_cancelled and ms >= 1000 then floor(ms / 1000) end as second_s
    from requests_and_calls
    where in_period(ts_end, period_start, period_end)
      and matches(host, of_host)
      and matches(model, of_model)
      and matches(endpoint, of_endpoint)
),
counts as (
    select
        endpoint, seen_by,
        count(*) filter (where is_cancelled) as n,
        count(*) as all_count,
        median(ms) filter (where is_cancelled) as median_ms,
        string_agg(distinct code, ', ' order by code) filter (where is_cancelled) as codes,
        max(ts_end) filter (where is_cancelled) as last_ts
    from chosen_requests
    group by endpoint, seen_by
),
cancel_seconds as (
    select
        endpoint, seen_by, second_s,
        count(*) as same_second,
        row_number() over (partition by endpoint, seen_by order by count(*) desc, second_s) as place
    from chosen_requests
    where second_s is not null
    group by endpoint, seen_by, second_s
)
select
    c.endpoint, c.seen_by, c.n as cancelled_count, c.all_count,
    c.n / cast(c.all_count as double) as share,
    cast(c.median_ms * 1000 as bigint) as median_us,
    cast(s.second_s * 1000000 as bigint) as timeout_us,
    s.same_second as timeout_count, c.codes, c.last_ts
from counts as c
left join cancel_seconds as s
    on s.endpoint is not distinct from c.endpoint
        and s.seen_by = c.seen_by
        and s.place = 1
        and s.same_second >= 3
        and s.same_second * 3 >= c.n
where c.n > 0;
