-- Names of models and processes of runners, which only the scheduler logs, and only with OLLAMA_DEBUG
-- (server/sched.go@v0.24.0, runnerRef.LogValue).
--
-- reads: events, model_loads, scope, templates
-- makes: load_names, one row per attempt whose model or process the scheduler names
-- writes: model_loads

create or replace temp table load_names as
with scheduler_templates as (
    select template_id from templates
    where template in ('finished setting up', 'after processing request finished event',
        'context for request finished', 'runner with non-zero duration has gone idle, adding timer')
),
name_lines as (
    select session_id, event_id, blob_name(attrs ->> '$."runner.model"') as blob,
        regexp_replace(attrs ->> '$."runner.name"', '^registry\.ollama\.ai/(?:library/)?', '') as model,
            try_cast(attrs ->> '$."runner.pid"' as integer) as runner_pid
    from events
    where session_id in (select session_id from scope) and event_id >= getvariable('since_id')
        and template_id in (select template_id from scheduler_templates)
        and contains(attrs, '"runner.name"')
)
select l.load_seq, arg_min(n.model, n.event_id) as model, arg_min(nullif(n.runner_pid, 0), n.event_id) as runner_pid
from name_lines as n
asof inner join (select load_seq, session_id, blob from model_loads where session_id in (select session_id from scope)
    and outcome in ('loaded', 'unknown')) as l
    on l.session_id = n.session_id and l.blob = n.blob and l.load_seq < n.event_id
group by l.load_seq;

update model_loads set model = coalesce(model_loads.model, n.model),
    runner_pid = coalesce(model_loads.runner_pid, n.runner_pid)
from load_names as n
where model_loads.load_seq = n.load_seq and (model_loads.model is null or model_loads.runner_pid is null);
