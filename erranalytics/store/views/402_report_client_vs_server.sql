-- The rows of the report client-vs-server: what did the server call 200 that the client never got?
create or replace macro report_client_vs_server(
    period_start, period_end, of_host, of_model, of_endpoint
) as table
with call_pairs as (
    select c.*, r.status as line_status, c.duration_ms - r.duration_us / 1000.0 as overhead_ms
    from calls as c
    left join requests as r on r.request_id = c.request_id
    left join server_sessions as s on s.session_id = r.session_id
    where in_period(c.ts_end, period_start, period_end)
      and matches(s.host, of_host)
      and matches(c.model, of_model)
      and matches(c.endpoint, of_endpoint)
),
code_counts as (
    select line_status, outcome, http_status, code, count(*) as n
    from call_pairs
    where code is not null
    group by line_status, outcome, http_status, code
),
top_causes as (
    select
        line_status, outcome, http_status,
        string_agg(code || ' ' || n, ', ' order by n desc, code) as codes
    from (
        select
            *,
            row_number() over (
                partition by line_status, outcome, http_status
                order by n desc, code
            ) as place
        from code_counts
    ) as k
    where place <= 3
    group by line_status, outcome, http_status
)
select
    p.line_status as server_status, p.outcome as client_outcome, p.http_status as client_status,
    count(*) as call_count,
    count(*) / cast(sum(count(*)) over () as double) as share,
    count(*) filter (where p.link_confidence = 'certain') as certain_count,
    coalesce(
        p.line_status = 200
            and p.outcome not in ('completed', 'cancelled_by_client', 'not_observable'),
        false
    ) as is_contradiction,
    cast(median(p.duration_ms) * 1000 as bigint) as median_us,
    cast(median(p.overhead_ms) * 1000 as bigint) as overhead_us,
    any_value(k.codes) as codes,
    string_agg(distinct p.client, ', ' order by p.client) as clients,
    arg_max(p.call_id, p.ts_end) as example_call_id
from call_pairs as p
left join top_causes as k
    on k.line_status is not distinct from p.line_status
        and k.outcome = p.outcome
        and k.http_status is not distinct from p.http_status
group by p.line_status, p.outcome, p.http_status;
