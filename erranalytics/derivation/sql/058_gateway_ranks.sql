-- What a gateway's lines mean for an incident that others report too: which request they are, and whether they name its
-- cause.
--
-- reads: changed_incidents, errors, gateway_lines
-- writes: gateway_ranks

insert into gateway_ranks
with reports as (
    select incident_id,
        -- Whether Ollama only saw that the client left, or says nothing but a status.
        bool_and(category = 'cancelled' or confidence = 'guess') as is_left,
        bool_and(confidence = 'guess') as is_guessed
    from errors
    where incident_id in (select incident_id from changed_incidents) and surface in ('access', 'server')
    group by incident_id
)
select e.event_id, coalesce(f.answered_by, w.answered_by, f.request_id, w.request_id) as request_id,
    case
        when e.cause = 'cloud_or_proxy_timeout' and coalesce(r.is_left, true) then 0
        when e.cause = 'gateway_client_closed' and coalesce(r.is_guessed, true) then 0
        when r.incident_id is not null then 2
        else 1
    end as rank
from errors as e
left join gateway_lines as f on f.event_id = e.event_id
left join gateway_lines as w on w.explained_by = e.event_id
left join reports as r on r.incident_id = e.incident_id
where e.incident_id in (select incident_id from changed_incidents) and e.surface = 'gateway';
