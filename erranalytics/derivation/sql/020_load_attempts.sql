-- Attempts to load a model: from the line that starts the runner to the one with the outcome. An attempt that ends
-- before there is a runner is known by the line that says so.
--
-- All records of an attempt come between its start, or shortly before it, and the next start of the session. So what
-- was derived of the attempts before the last one stays as it is when a log grows.
--
-- reads: errors, events, model_loads, scope, template_kinds
-- makes: blob_name()
-- makes: load_lines, one row per record that may belong to an attempt
-- makes: load_windows, one row per such a record, with the starts before and after it
-- makes: load_faults, one row per problem a load can fail of
-- makes: load_ends, one row per started attempt: how it ended
-- makes: load_refusals, one row per attempt that failed before it had a runner
-- writes: load_buffers, model_loads

delete from load_buffers
where load_seq in (select load_seq from model_loads where session_id in (select session_id from scope)
    and load_seq >= getvariable('since_id'));

delete from model_loads where session_id in (select session_id from scope) and load_seq >= getvariable('since_id');

-- Up to v0.1.31 the name of a file has a colon (server/modelpath.go@v0.1.31).
create or replace temp macro blob_name(name) as nullif('sha256-' || regexp_extract(name, 'sha256[-:]([0-9a-f]{12})',
    1), 'sha256-');

create or replace temp table load_lines as
with candidate_lines as (
    select e.event_id, e.source_id, e.session_id, e.ts, e.pid, e.format, e.component, e.message, e.attrs, e.code,
        coalesce(k.of_load, 'facts') as kind
    from events as e
    left join template_kinds as k using (template_id)
    where e.session_id in (select session_id from scope) and e.event_id >= getvariable('since_id') - 20
        -- The summary of a model file has an empty message, so it has no template.
        and (k.of_load is not null or (e.template_id is null and e.attrs like '{"architecture":%'))
)
select
    *,
    -- The engine of Ollama is started without a model to look for devices.
    kind = 'start' and (not contains(coalesce(attrs, ''), '"cmd":') or contains(attrs, '--model ')) as is_start,
    case
        when kind = 'start' then blob_name(attrs ->> '$.cmd')
        when kind = 'failed' then blob_name(attrs ->> '$.model')
    end as blob
from candidate_lines;

create or replace temp table load_windows as
select *, max(case when is_start then event_id end) over (partition by session_id order by event_id) as load_seq,
    min(case when is_start then event_id end) over (partition by session_id order by event_id rows between 1 following
        and unbounded following) as next_seq
from load_lines;

-- Only problems that a load can fail of count. A problem that names another file belongs to another model.
create or replace temp table load_faults as
with file_problems as (
    select x.event_id, x.session_id, x.code, x.category, blob_name(x.message || coalesce(e.attrs, '')) as blob
    from errors as x
    inner join events as e using (event_id)
    where x.session_id in (select session_id from scope) and x.event_id >= getvariable('since_id')
        and x.surface = 'server' and x.category in ('memory', 'gpu', 'runner', 'model_file')
            and x.severity in ('error', 'critical')
)
select b.*, s.event_id as load_seq
from file_problems as b
asof inner join (select * from load_lines where is_start) as s on s.session_id = b.session_id
    and s.event_id < b.event_id
where coalesce(b.blob = s.blob, true);

create or replace temp table load_ends as
with end_lines as (
    select
        w.load_seq,
        coalesce(min(w.event_id) filter (where w.kind = 'ready'), min(w.event_id)
            filter (where w.kind = 'up')) as ready_id,
        min(w.event_id) filter (where w.kind = 'failed' and coalesce(w.blob = s.blob, true)) as failed_id,
        arg_min(w.code, w.event_id) filter (where w.kind = 'failed' and coalesce(w.blob = s.blob, true)) as failed_code
    from load_windows as w
    inner join load_lines as s on s.event_id = w.load_seq
    where not w.is_start
    group by w.load_seq
),
-- Echoes of later failures do not belong to this load.
first_faults as (
    select
        f.load_seq, min(f.event_id) as fault_id, arg_min(f.code, f.event_id) as fault_code,
        arg_min(f.code, f.event_id) filter (where f.category = 'memory') as memory_code
    from load_faults as f
    left join end_lines as t using (load_seq)
    where f.event_id <= coalesce(t.failed_id, f.event_id) or f.event_id <= t.ready_id
    group by f.load_seq
)
select
    s.event_id as load_seq, s.session_id,
    coalesce(t.ready_id < coalesce(t.failed_id, t.ready_id + 1), false) as is_loaded,
    case when t.ready_id < coalesce(t.failed_id, t.ready_id + 1) then t.ready_id
        else coalesce(t.failed_id, f.fault_id) end as end_id,
    t.failed_id, f.memory_code is not null as is_oom, coalesce(f.memory_code, f.fault_code, t.failed_code) as code
from load_lines as s
left join end_lines as t on t.load_seq = s.event_id
left join first_faults as f on f.load_seq = s.event_id
where s.is_start;

-- An attempt that fails where no runner was started for that file, or where the last runner is up or has failed
-- already.
create or replace temp table load_refusals as
with known_starts as (
    select event_id as load_seq, session_id, blob, event_id in (select load_seq from load_ends
        where is_loaded) as is_loaded
    from load_lines where is_start and event_id >= getvariable('since_id')
    union all
    select load_seq, session_id, blob, outcome = 'loaded' from model_loads
    where session_id in (select session_id from scope) and (outcome = 'unknown' or first_event_id < last_event_id)
),
refusals as (select * from load_windows where kind = 'failed' and blob is not null
    and event_id >= getvariable('since_id'))
select r.event_id as load_seq, r.session_id, r.blob, r.code
from refusals as r
asof left join known_starts as s on s.session_id = r.session_id and s.blob = r.blob and s.load_seq < r.event_id
left join load_ends as e on e.load_seq = r.load_seq and e.load_seq = s.load_seq
where s.load_seq is null or s.is_loaded or e.failed_id < r.event_id;
