-- The rows of the report gateway-errors: which errors did the gateways in front send, why, and what had Ollama said?
create or replace macro report_gateway_errors(
    period_start, period_end, of_host, of_model, of_endpoint, of_code, least_count
) as table
-- an address without its path
with error_upstreams as (
    select
        event_id,
        regexp_replace(
            json_extract_string(attrs, '$.upstream'),
            '^[a-z]+://([^/]+).*$',
            '\1'
        ) as upstream
    from events
    where format = 'nginx-error'
),
gateway_answers as (
    select
        r.status, r.code, r.endpoint, r.ts_end as ts,
        coalesce(r.upstream, w.upstream) as upstream,
        o.status as answered,
        coalesce(r.model, o.model) as model,
        r.session_id, x.remedy,
        r.status >= 400 or r.outcome = 'failed_mid_stream' as is_bad,
        true as is_request
    from requests as r
    left join error_upstreams as w on w.event_id = r.explained_by
    left join requests as o on o.request_id = r.answered_by
    left join errors as x on x.event_id = r.event_id and x.code = r.code
    where r.surface = 'gateway'
    union all  -- gateway errors whose access line was not read; some are failed attempts at an upstream
    select
        null,
        coalesce(i.code, e.code),
        e.endpoint, e.ts, w.upstream, null, e.model, e.session_id, e.remedy, true, false
    from errors as e
    left join error_upstreams as w on w.event_id = e.event_id
    left join incidents as i on i.incident_id = e.incident_id
    where e.surface = 'gateway'
      and e.request_id is null
      and e.incident_id not in (
          select incident_id
          from requests
          where surface = 'gateway' and incident_id is not null
      )
),
chosen_answers as (
    select
        t.*,
        count(*) filter (where t.is_request) over (
            partition by t.endpoint
        ) as endpoint_request_count
    from gateway_answers as t
    left join server_sessions as s on s.session_id = t.session_id
    where in_period(t.ts, period_start, period_end)
      and matches(s.host, of_host)
      and matches(t.model, of_model)
      and matches(t.endpoint, of_endpoint)
),
answers as (
    select
        status, code, endpoint, upstream, answered,
        count(*) as n,
        min(ts) as first_ts,
        max(ts) as last_ts,
        any_value(endpoint_request_count) as all_count,
        max(remedy) as remedy
    from chosen_answers
    where is_bad and matches(code, of_code)
    group by status, code, endpoint, upstream, answered
)
select
    a.status, a.code, a.endpoint, a.upstream,
    cast(sum(a.n) as bigint) as request_count,
    any_value(a.all_count) as endpoint_request_count,
    case
        when any_value(a.all_count) >= least_count
            then cast(
                sum(case when a.status is not null then a.n end) as double
            ) / nullif(any_value(a.all_count), 0)
    end as share,
    cast(sum(case when a.answered is not null then a.n else 0 end) as bigint) as seen_count,
    string_agg(a.answered || ' × ' || a.n, ', ' order by a.answered) as ollama_said,
    min(a.first_ts) as first_ts,
    max(a.last_ts) as last_ts,
    any_value(c.title) as title,
    split_part(coalesce(max(a.remedy), any_value(c.remedy)), '. ', 1) as remedy
from answers as a
left join causes as c on c.code = a.code
group by a.status, a.code, a.endpoint, a.upstream;
