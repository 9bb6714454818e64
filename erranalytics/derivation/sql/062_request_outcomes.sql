-- What became of each request: its incident, the code, and how it ended.
--
-- reads: causes, errors, folded, gateway_outcomes, incidents, incidents_now, requests, scope
-- makes: request_outcomes, one row per request that is looked at again
-- writes: requests

create or replace temp table request_outcomes as
with touched_requests as (
    select request_id, event_id, status, endpoint
    from requests
    where (session_id in (select session_id from scope) and event_id >= getvariable('fold_from')
        and (incident_id is not null or event_id in (select event_id from folded)))
        or incident_id in (select incident_id from incidents_now)
        or request_id in (select request_id from gateway_outcomes)
)
select a.request_id, coalesce(g.incident_id, i.incident_id) as incident_id, coalesce(g.code, i.code, e.code) as code,
    case
        when g.is_broken then 'failed_mid_stream'
        when g.is_left or c.category = 'cancelled' then 'cancelled_by_client'
        else outcome_of(a.status, a.endpoint)
    end as outcome
from touched_requests as a
left join errors as e using (event_id)
left join incidents as i on i.incident_id = e.incident_id
left join causes as c on c.code = i.code
left join gateway_outcomes as g on g.request_id = a.request_id;

update requests set incident_id = o.incident_id, code = o.code, outcome = o.outcome
from request_outcomes as o
where requests.request_id = o.request_id
    and (requests.incident_id is distinct from o.incident_id or requests.code is distinct from o.code
        or requests.outcome is distinct from o.outcome);
