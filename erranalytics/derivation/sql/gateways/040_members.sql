-- Which incident the problems of a gateway belong to: that of Ollama's line of the request, else that of the reason the
-- gateway gives.
--
-- reads: calls, errors, events, gateway_lines, logged_incidents, requests
-- writes: gateway_lines, gateway_members

insert into gateway_lines
select
    g.request_id, g.event_id, g.session_id, g.status, g.explained_by, g.answered_by, g.asked_by,
    -- A 200 that broke belongs to the death of the runner, unless the gateway ran out of patience.
    coalesce(l.incident_id, case when w.cause <> 'cloud_or_proxy_timeout' then s.incident_id end)
from requests as g
left join errors as w on w.event_id = g.explained_by
left join requests as o on o.request_id = g.answered_by
left join logged_incidents() as l on l.event_id = o.event_id
left join logged_incidents() as s on s.event_id = o.suspected_by
where g.surface = 'gateway' and (g.status >= 400 or g.explained_by is not null);

insert into gateway_members
with faults as (
    select e.event_id, e.session_id, e.ts, e.source_id, v.attrs ->> '$.connection' as connection,
        v.attrs ->> '$.request_id' as request_id, v.attrs ->> '$.request' as request,
        f.request_id as front_id
    from errors as e
    inner join events as v using (event_id)
    left join gateway_lines as f on f.explained_by = e.event_id
    where e.surface = 'gateway' and e.request_id is null
),
-- nginx tries one upstream after the other on one connection; the last failure is that of the request.
attempts as (
    select a.event_id, b.front_id, b.event_id as line_id
    from (select * from faults where front_id is null and connection is not null) as a
    asof inner join (select * from faults where front_id is not null) as b
        on b.source_id = a.source_id and b.connection = a.connection and b.request = a.request
            and b.event_id > a.event_id
    where b.ts - a.ts <= interval 10 minute
    union all
    select a.event_id, b.front_id, b.event_id as line_id
    from (select * from faults where front_id is null and request_id is not null) as a
    inner join (select * from faults where front_id is not null) as b on b.source_id = a.source_id
        and b.request_id = a.request_id
    union all
    select event_id, front_id, event_id as line_id from faults where front_id is not null
)
select e.event_id, f.request_id, coalesce(f.server_incident_id, f.explained_by, e.event_id)
from gateway_lines as f
inner join errors as e on e.event_id = f.event_id
where e.surface = 'gateway'
union all
select c.event_id, f.request_id, coalesce(f.server_incident_id, f.explained_by, f.event_id)
from gateway_lines as f
inner join calls as c on c.call_id = f.asked_by and c.request_id is null
union all
-- A client whose stream the gateway cut off does not know the reason.
select c.event_id, f.request_id, coalesce(f.server_incident_id, f.explained_by)
from gateway_lines as f
inner join calls as c on c.request_id = f.answered_by
where f.status < 400 and f.explained_by is not null
union all
select e.event_id, a.front_id, coalesce(f.server_incident_id, a.line_id, e.event_id)
from faults as e
left join attempts as a on a.event_id = e.event_id
left join gateway_lines as f on f.request_id = a.front_id;
