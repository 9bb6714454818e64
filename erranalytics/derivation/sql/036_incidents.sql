-- The rows of incidents: one root that names the cause, and counts. Only what came out differently is written.

create or replace temp table incidents_now as select * from incidents where false;

insert into incidents_now by name
with places as (
    select event_id, incident_id from folded
    union all
    select event_id, incident_id from errors
    where incident_id in (select incident_id from folded) and event_id < getvariable('fold_from')
),
members as (
    select e.event_id, e.ts, e.session_id, e.source_id, e.surface, e.severity, e.model, e.code, e.cause, e.confidence,
        e.message, p.incident_id as fold_id,
        is_restart(e.cause, e.category, e.phase, e.severity, e.message) as is_restart,
        row_number() over (partition by p.incident_id
            order by vagueness_of(e.confidence, e.cause, e.category), e.event_id) as place
    from places as p inner join errors as e using (event_id)
),
-- A runner that is found dead before it was ready was killed while it loaded its model.
loading as (
    select l.event_id
    from lines_of_faults as l
    asof left join (select * from recoveries where is_ready) as v on v.session_id = l.session_id
        and v.event_id < l.event_id
    where l.is_noticed and l.cause = 'runner_killed' and l.own_start_id > coalesce(v.event_id, 0)
),
roots as (
    select m.fold_id as incident_id, m.event_id, m.confidence,
        case when m.cause <> 'runner_killed' then m.code when i.root_event_id = m.event_id
            and m.event_id < getvariable('fold_from') then i.code when l.event_id is not null then k.code
            else m.code end as code
    from members as m
    left join incidents as i on i.incident_id = m.fold_id
    left join loading as l on l.event_id = m.event_id
    left join causes as k on k.cause = 'load_killed'
    where m.place = 1
),
totals as (
    select fold_id as incident_id, min(ts) as first_ts, max(ts) as last_ts,
        arg_min(session_id, event_id) as session_id, arg_min(source_id, event_id) as source_id,
        count(*) as error_count, count(*) filter (where surface = 'access') as request_count, count(*)
            filter (where surface = 'client') as call_count,
        list_sort(list(distinct model) filter (where model is not null)) as models,
        max(case severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        -- It failed, tried again by itself, and nobody was told of a failure.
        bool_or(cause = 'oom_retry') and not bool_or(surface in ('access', 'client')) as is_retry,
            max(event_id) as last_event_id,
        bool_or(surface = 'client') as is_client, bool_or(surface <> 'client') as is_server,
        -- Where nobody tells of the starts, each reason but the first follows one.
        count(*) filter (where cause = 'app_server_crash'
            or (cause = 'systemd_restart' and not contains(message, 'repeated too quickly'))) as told_count,
        count(*) filter (where is_restart and code = root_code
            and cause not in ('systemd_exit', 'systemd_restart', 'app_server_crash')) - 1 as implied_count
    from (select m.*, r.code as root_code from members as m inner join members as r on r.fold_id = m.fold_id
        and r.place = 1) as all_members
    group by fold_id
)
select
    t.incident_id, t.first_ts, t.last_ts, r.code, c.cause,
    case when t.is_retry and v.event_id is not null then 'info' when t.worst = 3 then 'critical' when t.worst = 2
        then 'error' else 'warning' end as severity,
    r.event_id as root_event_id, t.error_count, t.request_count, t.call_count, t.models,
    case when t.is_client and t.is_server then 'both' when t.is_client then 'client' else 'server' end as sides,
    t.session_id, t.source_id, r.confidence, greatest(t.told_count, t.implied_count, 0) as restart_count,
    case when t.is_retry then v.event_id end as recovered_event_id
from totals as t
asof left join (select * from recoveries where is_ready) as v on v.session_id = t.session_id
    and v.event_id > t.last_event_id
inner join roots as r using (incident_id)
inner join causes as c on c.code = r.code;

delete from incidents as i
where (i.incident_id in (select incident_id from incidents_now)
    or (i.session_id in (select session_id from scope) and i.incident_id >= getvariable('fold_from')))
    and hash(i) not in (select hash(n) from incidents_now as n);
insert into incidents select * from incidents_now where incident_id not in (select incident_id from incidents);

update errors set incident_id = f.incident_id
from folded as f where errors.event_id = f.event_id and errors.incident_id is distinct from f.incident_id;
update events set incident_id = f.incident_id
from folded as f where events.event_id = f.event_id and events.incident_id is distinct from f.incident_id;
