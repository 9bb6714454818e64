create or replace view timeline as
select
    ts_start as ts, 'session' as kind, session_id,
    'Ollama ' || coalesce(version, '?') || ' started' as what,
    first_event_id as event_id
from server_sessions
where ts_start is not null
union all
select ts_end, 'session', session_id, 'Ollama ended: ' || end_reason, last_event_id
from server_sessions
where end_reason not in ('running', 'unknown')
union all
select ts_start, 'load', session_id, coalesce(model, blob, '?') || ': ' || outcome, first_event_id
from model_loads
union all
select first_ts, 'incident', session_id, code || ' ' || cause, root_event_id
from incidents
order by ts, event_id;
comment on view timeline is 'Sessions, model loads and incidents in order of time';
comment on column timeline.kind is 'session, load or incident';
comment on column timeline.what is 'One sentence';
