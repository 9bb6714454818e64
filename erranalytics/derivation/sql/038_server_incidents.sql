-- What the server's log says of each incident, before the logs of clients and gateways add to it.
--
-- reads: errors, faults, folded
-- writes: server_incidents

insert into server_incidents
with ids as (
    select incident_id from folded
    union
    select incident_id from faults
),
members as (
    select event_id, incident_id from folded
    union all
    select event_id, incident_id from errors
    where incident_id in (select incident_id from ids) and event_id < getvariable('fold_from')
),
member_ranks as (
    select m.incident_id, e.event_id, e.session_id, e.ts, e.surface, e.code,
        row_number() over (partition by m.incident_id
            order by vagueness_of(e.confidence, e.cause, e.category), e.event_id) as place
    from members as m
    inner join errors as e using (event_id)
    where e.surface <> 'client'
)
select incident_id, arg_min(session_id, event_id), arg_min(event_id, place), arg_min(code, place), min(ts),
    count(*) filter (where surface = 'access')
from member_ranks
group by incident_id;
