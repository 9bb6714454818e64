-- What is known of each problem before problems are folded into incidents: the part it plays, and the lines around it.
--
-- The parts: `chain` lines are about a runner, device, memory or model file; `left` lines about a client that went
-- away; `access` lines are requests that failed without a reason of their own; `reason` lines give the reason of one
-- request; `restart` lines are about a server that ends or does not start; `client` lines are in the log of a program
-- that calls Ollama (a record of one call is like a line of the server); all others are `alone`.
--
-- Problems before `fold_from` keep their incident. Those shortly before it, and the last one of another part, are read
-- again so that the first new ones know what they follow.
--
-- reads: errors, events, requests, scope, sources
-- makes: role_of()
-- makes: problems, one row per problem that is folded, or that the first of these follow
-- makes: starts, one row per runner that was started
-- makes: reasons, one row per line that gives the reason of a request
-- writes: recoveries

create or replace temp macro role_of(surface, is_record, is_inference, status, endpoint, category, severity, cause,
    phase, message) as case
    -- Only 500, and 400 of the embedding routes since v0.13.3, can be the echo of a fault; 499 of a client.
    when surface = 'client' and not is_record then 'client'
    when surface = 'access' and is_inference and (status in (499, 500) or (status = 400 and endpoint like '%embed%'))
        then 'access'
    when surface in ('access', 'client', 'gateway') then 'alone'
    when category = 'cancelled' and cause <> 'job_cancelled' then 'left'
    -- A client that asks what a model can do learns that its file is gone; no load was tried
    -- (server/images.go@v0.24.0).
    when cause = 'load_failed' and message like 'open %/blobs/%' then 'reason'
    when category in ('memory', 'gpu', 'runner', 'model_file')
        and (severity in ('error', 'critical') or cause in ('oom_predicted', 'oom_retry')) then 'chain'
    when is_restart(cause, category, phase, severity, message) then 'restart'
    -- An option that is ignored changes nothing. A prompt or an answer that is cut does.
    when severity in ('error', 'critical') and phase in ('request', 'create', 'embed', 'pull', 'push', 'connect')
        then 'reason'
    when phase in ('prompt', 'generate') or cause in ('blob_not_found', 'model_capabilities_unknown') then 'reason'
    else 'alone'
end;

create or replace temp table problems as
with all_problems as (
    select
        e.event_id, e.session_id, e.source_id, s.stream_id, e.ts, e.code, e.cause, e.surface, e.message,
            contains(e.message, 'HTTP Request: ') as is_wire,
        e.ts - to_microseconds(coalesce(r.duration_us, 0)) as began, r.duration_us, r.status,
        role_of(e.surface, coalesce(e.endpoint, e.exception_type) is not null, r.is_inference, e.http_status,
            r.endpoint, e.category, e.severity, e.cause, e.phase, e.message) as role,
        -- A runner that is already dead is noticed when its model is asked for again.
        contains(e.message, 'process no longer running') as is_noticed,
        e.phase = 'generate' or e.cause = 'runner_terminated' as is_death,
        case when e.event_id < getvariable('fold_from') then e.incident_id end as settled_id
    from errors as e
    inner join sources as s using (source_id)
    left join requests as r on r.event_id = e.event_id and r.event_id >= getvariable('memory_from')
    where e.session_id in (select session_id from scope) and e.event_id is not null
        and (e.event_id >= getvariable('memory_from')
            or e.category in ('memory', 'gpu', 'runner', 'model_file', 'cancelled'))
),
latest_parts as (
    select max(event_id) as event_id from all_problems
    where event_id < getvariable('fold_from') and role in ('chain', 'left') group by session_id
)
select k.* from all_problems as k
where k.event_id >= getvariable('memory_from') or k.event_id in (select event_id from latest_parts);

-- A model that loads or answers ends a fault.
insert into recoveries
select session_id, event_id, false as is_ready
from requests
where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from') and status = 200
    and is_inference and surface = 'ollama'
union all
select session_id, event_id, true as is_ready
from events
where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from')
    and format = 'slog-text' and (message like 'llama runner started in %' or message like 'llama-server started in %');

-- A runner that is started takes the place of a dead one.
create or replace temp table starts as
select session_id, event_id, regexp_extract(attrs, '--model (\S+)', 1) as model
from events
where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from') and format = 'slog-text'
    and message in ('starting llama server', 'starting runner', 'starting llama-server') and attrs like '%--model %';

-- The request whose reason a line gives: the next one that was running at that time. What a runner writes itself may
-- come a moment after the access line. A line about the file of a model comes right before the access line, or no
-- request asked for it.
create or replace temp table reasons as
with finished_requests as (
    select session_id, event_id, ts_start, ts_end, duration_us, status, is_inference
    from requests
    where session_id in (select session_id from scope) and surface = 'ollama'
        and event_id >= getvariable('memory_from') and (status >= 400 or not is_poll or path = '/api/tags')
),
reason_lines as (
    select p.event_id, p.session_id, p.ts, e.format in ('llama-server', 'llama-cpp') as is_of_runner,
        p.cause in ('load_failed', 'blob_not_found', 'model_capabilities_unknown') as is_of_file,
        coalesce(p.event_id - lag(p.event_id)
            over (partition by p.session_id order by p.event_id) > 3, true) as is_apart
    from problems as p inner join events as e using (event_id)
    where p.role = 'reason' and e.format in ('slog-text', 'slog-default', 'go-log', 'llama-server', 'llama-cpp',
        'cpp-json', 'cpp-text', 'mlx')
),
bursts as (
    select *, sum(is_apart::int) over (partition by session_id order by event_id) as burst_no from reason_lines
),
burst_ends as (
    select *, max(event_id) over (partition by session_id, burst_no) as last_id from bursts
),
late_reasons as (
    select a.event_id, r.event_id as request_id
    from reason_lines as a
    asof inner join (select * from finished_requests where is_inference) as r on r.session_id = a.session_id
        and r.event_id < a.event_id
    where a.is_of_runner and r.status = 400 and r.duration_us >= 1000 and a.ts - r.ts_end between interval 0 second
        and interval 1 second
),
early_reasons as (
    select a.event_id, r.event_id as request_id
    from burst_ends as a
    asof inner join finished_requests as r on r.session_id = a.session_id and r.event_id > a.event_id
    -- Access lines have whole seconds.
    where (not a.is_of_file or r.event_id - a.last_id <= 3) and r.ts_start <= a.ts
        and r.ts_end - a.ts between interval '-1 second' and interval 10 minute
)
select event_id, request_id from late_reasons
union all
select event_id, request_id from early_reasons where event_id not in (select event_id from late_reasons);
