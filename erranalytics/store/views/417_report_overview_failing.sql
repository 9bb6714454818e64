-- The rows of the report overview-failing: which failures come first?
create or replace macro report_overview_failing(period_start, period_end, of_host) as table
with chosen_incidents as (
    select i.*
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('warning', 'error', 'critical')
      and in_period(i.first_ts, period_start, period_end)
      and matches(s.host, of_host)
),
-- Without failures, show the warnings.
failures as (
    select h.*
    from chosen_incidents as h
    where h.severity <> 'warning'
      or not exists (select 1 from chosen_incidents as o where o.severity <> 'warning')
),
suspected_counts as (
    select incident_id, count(*) as suspected_count
    from requests
    where suspected_by is not null and surface = 'ollama'
    group by incident_id
),
code_models as (
    select code, array_agg(distinct model order by model) as models
    from (select code, unnest(models) as model from failures) as m
    group by code
),
counts as (
    select
        f.code,
        count(*) as incident_count,
        sum(f.request_count) as request_count,
        sum(u.suspected_count) as suspected_count,
        min(f.first_ts) as first_ts,
        max(f.last_ts) as last_ts,
        case
            when count(distinct e.remedy) = 1 and count(e.remedy) = count(*) then max(e.remedy)
        end as remedy,
        max(case f.severity when 'critical' then 2 when 'error' then 1 else 0 end) as worst,
        count(*) over () as code_count
    from failures as f
    left join suspected_counts as u on u.incident_id = f.incident_id
    left join errors as e on e.event_id = f.root_event_id
    group by f.code
)
select
    t.code, t.incident_count,
    cast(t.request_count as bigint) as request_count,
    cast(coalesce(t.suspected_count, 0) as bigint) as suspected_count,
    t.first_ts, t.last_ts, m.models,
    case t.worst when 2 then 'critical' when 1 then 'error' else 'warning' end as severity,
    c.title,
    coalesce(t.remedy, c.remedy) as remedy,
    t.code_count
from counts as t
left join causes as c on c.code = t.code
left join code_models as m on m.code = t.code;
