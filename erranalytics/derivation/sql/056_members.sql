-- Which incident each problem belongs to: what a gateway and a program logged of a request belongs to the incident of
-- the server's line of that request. Only differences are written.
--
-- reads: errors, folded, gateway_members, linked_members
-- makes: incident_members, one row per problem whose incident was looked for
-- writes: calls, changed_incidents, errors, events

create or replace temp table incident_members as
select event_id, coalesce(g.incident_id, l.incident_id, f.incident_id) as incident_id, e.incident_id as old_id
from folded as f
full join linked_members as l using (event_id)
full join gateway_members as g using (event_id)
inner join errors as e using (event_id)
where f.event_id is not null or coalesce(g.incident_id, l.incident_id) is distinct from e.incident_id;

insert into changed_incidents select unnest([incident_id, old_id]) from incident_members;

update errors set incident_id = m.incident_id
from incident_members as m
where errors.event_id = m.event_id and errors.incident_id is distinct from m.incident_id;

update events set incident_id = m.incident_id
from incident_members as m
where events.event_id = m.event_id and events.incident_id is distinct from m.incident_id;

update calls set incident_id = e.incident_id
from errors as e
where calls.event_id = e.event_id and calls.incident_id is distinct from e.incident_id;
