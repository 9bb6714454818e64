-- Which incident the problems of clients belong to.
--
-- reads: calls, causes, incidents, logged_incidents, requests, scope, server_incidents
-- makes: logged_beside, one row per call whose failure the server logged beside its 200
-- writes: linked_members

-- Where the server answers 200 and reports the failure inside, it may log the cause right before that line. A client
-- whose stream just ends does not know it.
create or replace temp table logged_beside as
with known_incidents as (
    select incident_id, session_id, root_event_id, code, first_ts, request_count from server_incidents
    union all
    select incident_id, session_id, root_event_id, code, first_ts, request_count from incidents
    where sides <> 'client' and incident_id not in (select incident_id from server_incidents)
        and not (incident_id >= getvariable('fold_from') and session_id in (select session_id from scope))
)
select c.call_id, i.incident_id
from calls as c
inner join requests as r on r.request_id = c.request_id
left join logged_incidents() as l on l.event_id = r.event_id
inner join known_incidents as i on i.session_id = r.session_id
    and i.root_event_id between r.event_id - 20 and r.event_id
    and i.first_ts between r.ts_start - interval 1 second and r.ts_end + interval 1 second
inner join causes as k on k.code = i.code
where r.status < 400 and l.incident_id is null and r.suspected_by is null
    and c.outcome in ('failed', 'failed_mid_stream', 'truncated')
    and i.request_count = 0
    and (i.code = c.code or (c.cause in ('stream_missing_done', 'stream_truncated')
        and k.category in ('stream', 'output')))
qualify row_number() over (partition by c.call_id order by i.root_event_id desc) = 1 and row_number()
    over (partition by i.incident_id order by r.event_id) = 1;

-- The failure a client saw is that of its access line, else the death that cut its stream, else the failure that was
-- logged beside it.
insert into linked_members
select c.event_id, coalesce(l.incident_id, s.incident_id, b.incident_id) as incident_id
from calls as c
inner join requests as r on r.request_id = c.request_id
left join logged_incidents() as l on l.event_id = r.event_id
left join logged_incidents() as s on s.event_id = r.suspected_by and c.outcome in ('failed_mid_stream', 'truncated')
left join logged_beside as b on b.call_id = c.call_id
where coalesce(l.incident_id, s.incident_id, b.incident_id) is not null;
