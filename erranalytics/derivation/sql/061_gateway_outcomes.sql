-- Outcomes that only the log of a gateway knows: a stream it saw break, and a request that Ollama answered to nobody.
--
-- reads: causes, errors, gateway_lines, gateway_members, incidents, requests
-- writes: gateway_outcomes

insert into gateway_outcomes
with fronts as (
    select f.*, m.incident_id, i.code, c.category = 'cancelled'
        or c.cause in ('cloud_or_proxy_timeout', 'gateway_client_closed') as is_left
    from (select distinct front_id, incident_id from gateway_members) as m
    inner join gateway_lines as f on f.request_id = m.front_id
    inner join incidents as i on i.incident_id = m.incident_id
    inner join causes as c on c.code = i.code
)
select request_id, min(incident_id) as incident_id, min(code) as code, bool_or(status < 400) as is_broken,
    false as is_left
from fronts
group by request_id
union all
select r.request_id, f.incident_id, f.code, false, true
from fronts as f
inner join requests as r on r.request_id = f.answered_by
inner join errors as e on e.event_id = r.event_id and e.incident_id = f.incident_id
where f.is_left and f.status in (499, 504) and r.status in (499, 500);
