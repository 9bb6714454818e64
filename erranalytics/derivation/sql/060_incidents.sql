-- The rows of incidents: the problem that names the cause, and counts. Only differences are written.
--
-- reads: causes, changed_incidents, errors, gateway_ranks, incidents, load_kills, recoveries, scope
-- makes: incident_lines, one row per problem of the changed incidents
-- makes: incident_roots, one row per incident: the problem that names its cause
-- makes: incidents_now, one row per changed incident that has problems
-- writes: incidents

create or replace temp table incident_lines as
select e.incident_id, e.event_id, e.ts, e.session_id, e.source_id, e.severity, e.model, e.code, e.cause, e.confidence,
    e.surface, is_restart(e.cause, e.category, e.phase, e.severity, e.message) as is_restart,
    contains(e.message, 'repeated too quickly') as is_last_start,
    -- A request that two programs logged is one request.
    case when e.surface = 'access' then e.event_id else g.request_id end as request_id,
    row_number() over (
        partition by e.incident_id
        order by
            coalesce(g.rank, 1),
            -- The error log of a gateway says more than its access line.
            g.event_id is not null and e.request_id is not null,
            vagueness_of(e.confidence, e.cause, e.category), e.surface = 'client', e.event_id
    ) as place
from errors as e
left join gateway_ranks as g using (event_id)
where e.incident_id in (select incident_id from changed_incidents);

create or replace temp table incident_roots as
select r.incident_id, r.event_id, r.session_id, r.source_id, r.confidence, r.code as stated_code,
    case
        when r.cause <> 'runner_killed' then r.code
        -- Before the stretch that is read again nothing shows any more whether a load was under way.
        when r.event_id = i.root_event_id
            and (r.event_id < getvariable('fold_from') or r.session_id not in (select session_id from scope))
            then i.code
        when r.event_id in (select event_id from load_kills)
            then (select code from causes where cause = 'load_killed')
        else r.code
    end as code,
    case when i.recovered_event_id < getvariable('recovery_from') then i.recovered_event_id end as recovered_before
from incident_lines as r
left join incidents as i using (incident_id)
where r.place = 1;

create or replace temp table incidents_now as select * from incidents where false;

insert into incidents_now by name
with totals as (
    select l.incident_id, any_value(r.event_id) as root_event_id, any_value(r.code) as code,
        any_value(r.confidence) as confidence, any_value(r.recovered_before) as recovered_before,
        min(l.ts) as first_ts, max(l.ts) as last_ts, max(l.event_id) as last_event_id,
        coalesce(
            arg_min(l.session_id, l.event_id) filter (where l.surface in ('access', 'server')),
            arg_min(l.session_id, l.event_id) filter (where l.surface = 'client'),
            any_value(r.session_id)
        ) as session_id,
        coalesce(
            arg_min(l.source_id, l.event_id) filter (where l.surface in ('access', 'server')),
            arg_min(l.source_id, l.event_id) filter (where l.surface = 'client'),
            any_value(r.source_id)
        ) as source_id,
        count(*) as error_count, count(distinct l.request_id) as request_count,
        count(*) filter (where l.surface = 'client') as call_count,
        list_sort(list(distinct l.model) filter (where l.model is not null)) as models,
        max(case l.severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        -- It failed and tried again by itself, and no request or call failed.
        bool_or(l.cause = 'oom_retry') and not bool_or(l.surface in ('access', 'client')) as is_retry,
        case
            when bool_and(l.surface = 'client') then 'client'
            when bool_or(l.surface = 'client') then 'both'
            when bool_and(l.surface = 'gateway') then 'gateway'
            else 'server'
        end as sides,
        -- Where nothing reports the starts, each reason but the first follows one.
        count(*) filter (where l.cause = 'app_server_crash' or (l.cause = 'systemd_restart' and not l.is_last_start))
            as stated_count,
        count(*) filter (where l.is_restart and l.code = r.stated_code
            and l.cause not in ('systemd_exit', 'systemd_restart', 'app_server_crash')) - 1 as implied_count
    from incident_lines as l
    inner join incident_roots as r using (incident_id)
    group by l.incident_id
),
recovered_totals as (
    select t.*, case
        when t.recovered_before > t.last_event_id then t.recovered_before
        when t.is_retry then v.event_id
    end as recovered_event_id
    from totals as t
    asof left join (select * from recoveries where is_ready) as v on v.session_id = t.session_id
        and v.event_id > t.last_event_id
)
select
    r.incident_id, r.first_ts, r.last_ts, r.code, c.cause,
    case
        when r.is_retry and r.recovered_event_id is not null then 'info'
        -- A client that leaves is not a fault of the server, whatever status it got.
        when c.cause = 'gateway_client_closed' then 'warning'
        when r.worst = 3 then 'critical'
        when r.worst = 2 then 'error'
        else 'warning'
    end as severity,
    r.root_event_id, r.error_count, r.request_count, r.call_count, r.models, r.sides, r.session_id, r.source_id,
    r.confidence, greatest(r.stated_count, r.implied_count, 0) as restart_count,
    case when r.is_retry then r.recovered_event_id end as recovered_event_id
from recovered_totals as r
inner join causes as c on c.code = r.code;

delete from incidents as i
where (i.incident_id in (select incident_id from changed_incidents)
    or (i.session_id in (select session_id from scope) and i.incident_id >= getvariable('fold_from')))
    and hash(i) not in (select hash(n) from incidents_now as n);

insert into incidents select * from incidents_now where incident_id not in (select incident_id from incidents);
