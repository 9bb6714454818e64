-- One failure echoes through several lines: fold them into incidents with one root.
--
-- Roles: `chain` lines tell of a runner, device, memory or model file; `left` lines of a client that went
-- away; `access` lines are requests that failed for no reason of their own; `client` lines stand in the log of a program
-- that calls Ollama (a record of one call is like a line of the server); everything else stands alone.
--
-- Problems before `fold_from` keep their incident; those shortly before it, and the last of another role, are read again
-- so that the first new ones know what they follow. Only what came out differently is written.
create or replace temp macro role_of(surface, is_record, is_inference, status, endpoint, category, severity, cause) as case
    -- Only 500, and 400 of the embedding routes since v0.13.3, can be the echo of a fault; 499 of a client.
    when surface = 'client' and not is_record then 'client'
    when surface = 'access' and is_inference and (status in (499, 500) or (status = 400 and endpoint like '%embed%')) then 'access'
    when category = 'cancelled' and surface <> 'access' and cause <> 'job_cancelled' then 'left'
    when category in ('memory', 'gpu', 'runner', 'model_file') and (severity in ('error', 'critical') or cause in ('oom_predicted', 'oom_retry')) then 'chain'
    else 'alone'
end;

-- How well a line names the cause: 0 best.
create or replace temp macro vagueness_of(confidence, cause, category) as case
    when category = 'unknown' then 9
    when confidence = 'guess' then 8
    when cause in ('load_error', 'runner_terminated', 'runner_crashed', 'ggml_abort', 'native_abort', 'load_failed', 'runner_error_body') then 4
    when cause like 'load_crashed%' or cause in ('panic', 'context_create_failed', 'runner_crashed_midstream', 'oom_predicted', 'oom_retry', 'model_capabilities_unknown') then 3
    -- What the memory was for says more than which buffer it was.
    when cause in ('kv_cache_alloc_failed', 'compute_buffer_alloc_failed') then 0
    when cause = 'metal_command_failed' then 2
    when category in ('memory', 'gpu', 'model_file', 'cancelled') then 1
    else 2
end;

create or replace temp table problems as
with known as (
    select
        e.event_id, e.session_id, e.source_id, e.ts, e.code, e.surface, contains(e.message, 'HTTP Request: ') as is_wire, e.ts - to_microseconds(coalesce(r.duration_us, 0)) as began, r.duration_us,
        role_of(e.surface, coalesce(e.endpoint, e.exception_type) is not null, r.is_inference, e.http_status, r.endpoint, e.category, e.severity, e.cause) as role,
        case when e.event_id < getvariable('fold_from') then e.incident_id end as settled_id
    from errors as e
    left join requests as r on r.event_id = e.event_id and r.event_id >= getvariable('memory_from')
    where e.session_id in (select session_id from scope) and e.event_id is not null
        and (e.event_id >= getvariable('memory_from') or e.category in ('memory', 'gpu', 'runner', 'model_file', 'cancelled'))
),
latest as (
    select max(event_id) as event_id from known where event_id < getvariable('fold_from') and role in ('chain', 'left') group by session_id
)
select k.* from known as k
where k.event_id >= getvariable('memory_from') or k.event_id in (select event_id from latest);

-- A model that loads or answers in between ends a fault.
create or replace temp table recoveries as
select session_id, event_id from requests where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from') and status = 200 and is_inference
union all
select session_id, event_id from events
where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from') and format = 'slog-text' and (message like 'llama runner started in %' or message like 'llama-server started in %');

create or replace temp table folded as
with dated as (
    select p.*, v.event_id as recovery_id
    from problems as p
    asof left join recoveries as v on v.session_id = p.session_id and v.event_id <= p.event_id
    where p.role not in ('alone', 'client')
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
            when 'left' then coalesce(ts - ts_before > interval 2 second, true) or coalesce(family_before = 'chain', false)
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
    select *, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls) over (partition by session_id order by event_id) as incident_id
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
    select event_id, code, session_id, surface, settled_id,
        case when code = 'NFD001' and code_before = 'CAP013' and gap <= interval 1 second then id_before end as joined_id,
        coalesce(ts - lag(ts) over (partition by session_id, code, surface order by event_id) > interval 60 second, true)
            or surface = 'access' or code = 'CAP013' as is_new
    from neighbours
),
-- A program says several times that a call failed, and tries again at once; where its log tells no time, lines that
-- stand together belong together. What it says in the second of a fault in the same log is an echo of that.
clients as (
    select p.event_id, p.session_id, p.ts, p.settled_id, s.first_ts < s.last_ts as is_dated,
        coalesce(case when s.first_ts < s.last_ts then p.ts - lag(p.ts) over w > interval 3 second else p.event_id - lag(p.event_id) over w > 3 end, true)
        -- A request behind what was said of the one before is another call.
        or (p.is_wire and not lag(p.is_wire) over w) as is_new
    from problems as p inner join sources as s using (source_id)
    where p.role = 'client'
    window w as (partition by p.session_id order by p.event_id)
),
calls as (
    select *, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls) over (partition by session_id order by event_id) as call_id
    from clients
),
echoes as (
    select c.call_id, any_value(i.incident_id) as incident_id
    from calls as c
    asof inner join islands as i on i.session_id = c.session_id and i.event_id < c.event_id
    where c.call_id = c.event_id and c.is_dated and c.ts - i.ts between interval 0 second and interval 1 second
    group by c.call_id
),
gathered as (
    select event_id, incident_id from islands
    union all
    select c.event_id, coalesce(e.incident_id, c.call_id) from calls as c left join echoes as e using (call_id)
    union all
    select event_id,
        coalesce(joined_id, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls) over (partition by session_id, code, surface order by event_id))
    from repeats
)
select event_id, incident_id from gathered where event_id >= getvariable('fold_from');

create or replace temp table incidents_now as select * from incidents where false;

insert into incidents_now by name
with places as (
    select event_id, incident_id from folded
    union all
    select event_id, incident_id from errors
    where incident_id in (select incident_id from folded) and event_id < getvariable('fold_from')
),
members as (
    select e.event_id, e.ts, e.session_id, e.source_id, e.surface, e.severity, e.model, e.code, e.confidence, p.incident_id as fold_id,
        row_number() over (partition by p.incident_id order by vagueness_of(e.confidence, e.cause, e.category), e.event_id) as place
    from places as p inner join errors as e using (event_id)
),
roots as (select fold_id as incident_id, code, event_id, confidence from members where place = 1),
totals as (
    select fold_id as incident_id, min(ts) as first_ts, max(ts) as last_ts, any_value(session_id) as session_id, any_value(source_id) as source_id,
        count(*) as error_count, count(*) filter (where surface = 'access') as request_count, count(*) filter (where surface = 'client') as call_count,
        list_sort(list(distinct model) filter (where model is not null)) as models,
        max(case severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        bool_or(surface = 'client') as is_client, bool_or(surface <> 'client') as is_server
    from members group by fold_id
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

delete from incidents as i
where i.session_id in (select session_id from scope)
    and (i.incident_id >= getvariable('fold_from') or i.incident_id in (select incident_id from incidents_now))
    and hash(i) not in (select hash(n) from incidents_now as n);
insert into incidents select * from incidents_now where incident_id not in (select incident_id from incidents);

update errors set incident_id = f.incident_id
from folded as f where errors.event_id = f.event_id and errors.incident_id is distinct from f.incident_id;
update events set incident_id = f.incident_id
from folded as f where events.event_id = f.event_id and events.incident_id is distinct from f.incident_id;
