-- A request and the lines that give its reason are one incident.
--
-- reads: problems, reasons
-- writes: folded

insert into folded
with members as (
    select event_id, request_id from reasons
    union
    select request_id as event_id, request_id from reasons
)
select
    p.event_id,
    coalesce(p.settled_id, min(coalesce(p.settled_id, p.event_id)) over (partition by p.session_id, m.request_id))
        as incident_id
from problems as p
inner join members as m using (event_id)
qualify p.event_id >= getvariable('fold_from');
