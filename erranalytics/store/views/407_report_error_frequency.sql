-- The rows of the report error-frequency: which failures occurred, how often, and what helps?
create or replace macro report_error_frequency(
    period_start, period_end, of_host, of_model, of_endpoint, of_code
) as table
with failures as (
    select
        i.code, i.severity, i.first_ts, i.last_ts, 1 as incident_count, 0 as error_count,
        i.request_count
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where in_period(i.first_ts, period_start, period_end)
      and matches(s.host, of_host)
      and one_matches(i.models, of_model)
      and matches(i.code, of_code)
      and (
          of_endpoint is null
          or i.incident_id in (
              select r.incident_id
              from requests as r
              where r.endpoint = of_endpoint
          )
      )
),
error_lines as (
    select
        e.code, e.severity, e.ts as first_ts, e.ts as last_ts, 0 as incident_count,
        1 as error_count, 0 as request_count
    from errors as e
    where in_period(e.ts, period_start, period_end)
      and matches(e.host, of_host)
      and matches(e.model, of_model)
      and matches(e.code, of_code)
      and matches(e.endpoint, of_endpoint)
),
counts as (
    select
        code,
        sum(incident_count) as incident_count,
        sum(error_count) as error_count,
        sum(request_count) as request_count,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        max(severity_rank(severity)) as worst
    from (select * from failures union all select * from error_lines) as seen
    group by code
)
select
    t.code,
    cast(t.incident_count as bigint) as incident_count,
    cast(t.error_count as bigint) as error_count,
    cast(t.request_count as bigint) as request_count,
    t.first_ts, t.last_ts,
    cast(t.incident_count as double) / nullif(sum(t.incident_count) over (), 0) as share,
    severity_name(t.worst) as severity,
    c.category, c.title,
    split_part(c.remedy, '. ', 1) as remedy
from counts as t
left join causes as c on c.code = t.code;
