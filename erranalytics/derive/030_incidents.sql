-- One failure echoes through several lines: fold them into incidents with one root.
--
-- Roles: `chain` lines tell of a runner, device, memory or model file; `left` lines of a client that went
-- away; `access` lines are requests that failed for no reason of their own; everything else stands alone.
delete from incidents where session_id in (select session_id from scope);
update errors set incident_id = null where session_id in (select session_id from scope) and incident_id is not null;

create or replace temp table problems as
select
    e.event_id, e.source_id, e.session_id, e.ts, e.code, e.severity, e.confidence, e.surface, e.model, e.http_status,
    case
        -- Only 500, and 400 of the embedding routes since v0.13.3, can be the echo of a fault; 499 of a client.
        when e.surface = 'access' and r.is_inference and (e.http_status in (499, 500) or (e.http_status = 400 and r.endpoint like '%embed%')) then 'access'
        when e.category = 'cancelled' and e.surface <> 'access' then 'left'
        when e.category in ('memory', 'gpu', 'runner', 'model_file') and (e.severity in ('error', 'critical') or e.cause in ('oom_predicted', 'oom_retry')) then 'chain'
        else 'alone'
    end as role,
    -- How well a line names the cause: 0 best.
    case
        when e.confidence = 'guess' then 9
        when e.cause in ('load_error', 'runner_terminated', 'runner_crashed', 'ggml_abort', 'native_abort', 'load_failed', 'runner_error_body') then 4
        when e.cause like 'load_crashed%' or e.cause in ('panic', 'context_create_failed', 'runner_crashed_midstream', 'oom_predicted', 'oom_retry', 'model_capabilities_unknown') then 3
        -- What the memory was for says more than which buffer it was.
        when e.cause in ('kv_cache_alloc_failed', 'compute_buffer_alloc_failed') then 0
        when e.cause = 'metal_command_failed' then 2
        when e.category in ('memory', 'gpu', 'model_file', 'cancelled') then 1
        else 2
    end as vagueness,
    e.ts - to_microseconds(coalesce(r.duration_us, 0)) as began,
    r.duration_us
from errors as e
left join requests as r on r.event_id = e.event_id
where e.session_id in (select session_id from scope) and e.event_id is not null;

-- A model that loads or answers in between ends a fault.
create or replace temp table recoveries as
select session_id, event_id from requests where session_id in (select session_id from scope) and status = 200 and is_inference
union all
select session_id, event_id from events
where session_id in (select session_id from scope) and format = 'slog-text' and (message like 'llama runner started in %' or message like 'llama-server started in %');

create or replace temp table folded as
with dated as (
    select p.*, v.event_id as recovery_id
    from problems as p
    asof left join recoveries as v on v.session_id = p.session_id and v.event_id <= p.event_id
    where p.role <> 'alone'
),
ordered as (
    select *, lag(role) over w as role_before, lag(ts) over w as ts_before, lag(recovery_id) over w as recovery_before,
        last_value(case when role <> 'access' then role end ignore nulls) over w as family,
        last_value(case when role <> 'access' then role end ignore nulls) over (w rows between unbounded preceding and 1 preceding) as family_before,
        last_value(case when role = 'chain' then ts end ignore nulls) over w as chain_ts
    from dated
    window w as (partition by session_id order by event_id)
),
-- Access lines have whole seconds: a request was surely running at the fault when it began a second before it.
-- The line right behind a fault is its victim when it can be.
attached as (
    select *,
        role = 'access' and family = 'chain' and ts - chain_ts <= interval 10 second and duration_us >= 1000
            and (began + interval 1 second <= chain_ts or (role_before = 'chain' and began <= chain_ts)) as is_victim
    from ordered
),
marked as (
    select *,
        case role
            when 'access' then case family
                when 'chain' then not is_victim
                else coalesce(ts - ts_before > case when family is null then interval 1 second else interval 10 second end, true)
            end
            -- clients that leave together leave within a moment
            when 'left' then coalesce(ts - ts_before > interval 2 second or family_before = 'chain', true)
            else coalesce(
                ts - ts_before > interval 30 second
                -- a new fault after the requests of the one before; but a request may fail a moment before the fault is told
                or (role_before <> 'chain' and not (role_before = 'access' and ts - ts_before <= interval 1 second and not lag(is_victim) over w))
                or (recovery_id is distinct from recovery_before and ts - ts_before > interval 500 millisecond),
            true)
        end as is_new
    from attached
    window w as (partition by session_id order by event_id)
),
islands as (
    select *, max(case when is_new then event_id end) over (partition by session_id order by event_id) as incident_id
    from marked
),
-- What repeats without a gap of a minute is one incident; a failed request is always one of its own, together
-- with the warning about its model that stands right before it.
neighbours as (
    select *, lag(code) over w as code_before, lag(event_id) over w as id_before, ts - lag(ts) over w as gap
    from problems where role = 'alone'
    window w as (partition by session_id order by event_id)
),
repeats as (
    select event_id, code, session_id, surface,
        case when code = 'NFD001' and code_before = 'CAP013' and gap <= interval 1 second then id_before end as joined_id,
        coalesce(ts - lag(ts) over (partition by session_id, code, surface order by event_id) > interval 60 second, true)
            or surface = 'access' or code = 'CAP013' as is_new
    from neighbours
)
select event_id, incident_id from islands
union all
select event_id, coalesce(joined_id, max(case when is_new then event_id end) over (partition by session_id, code, surface order by event_id)) from repeats;

insert into incidents by name
with members as (
    select p.*, f.incident_id, row_number() over (partition by f.incident_id order by p.vagueness, p.event_id) as place
    from folded as f inner join problems as p using (event_id)
),
roots as (select incident_id, code, event_id, confidence from members where place = 1),
totals as (
    select incident_id, min(ts) as first_ts, max(ts) as last_ts, any_value(session_id) as session_id, any_value(source_id) as source_id,
        count(*) as error_count, count(*) filter (where surface = 'access') as request_count, count(*) filter (where surface = 'client') as call_count,
        list_sort(list(distinct model) filter (where model is not null)) as models,
        max(case severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        bool_or(surface = 'client') as is_client, bool_or(surface <> 'client') as is_server
    from members group by incident_id
)
select
    t.incident_id, t.first_ts, t.last_ts, r.code, c.cause,
    case t.worst when 3 then 'critical' when 2 then 'error' else 'warning' end as severity,
    r.event_id as root_event_id, t.error_count, t.request_count, t.call_count, t.models,
    case when t.is_client and t.is_server then 'both' when t.is_client then 'client' else 'server' end as sides,
    t.session_id, t.source_id, r.confidence
from totals as t
inner join roots as r using (incident_id)
inner join causes as c on c.code = r.code;

update errors set incident_id = f.incident_id from folded as f where errors.event_id = f.event_id;
update events set incident_id = f.incident_id from folded as f where events.event_id = f.event_id;
