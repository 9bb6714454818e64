-- What failures and requests are counted by: model, route, client, version. And versions and rates that can be compared.

-- A version as numbers, so that 0.9 stands before 0.10 and a release candidate before its release; NULL for what is none.
create or replace macro version_key(told) as
    case when regexp_matches(told, '^v?\d+\.\d') then [
        coalesce(try_cast(regexp_extract(told, '^v?(\d+)', 1) as bigint), 0), coalesce(try_cast(regexp_extract(told, '^v?\d+\.(\d+)', 1) as bigint), 0),
        coalesce(try_cast(regexp_extract(told, '^v?\d+\.\d+\.(\d+)', 1) as bigint), 0),
        cast(not regexp_matches(told, '-rc\d') as bigint), coalesce(try_cast(regexp_extract(told, '-rc(\d+)', 1) as bigint), 0)
    ] end;

-- Ends of the 95 % Wilson interval of bad of n; NULL without any.
create or replace macro wilson_low(bad, n) as
    case when n > 0 then greatest(0, (bad / cast(n as double) + 3.841458820694124 / (2 * n) - sqrt(3.841458820694124 * (bad / cast(n as double) * (1 - bad / cast(n as double)) / n + 3.841458820694124 / (4 * cast(n as double) * n)))) / (1 + 3.841458820694124 / n)) end;
create or replace macro wilson_high(bad, n) as
    case when n > 0 then least(1, (bad / cast(n as double) + 3.841458820694124 / (2 * n) + sqrt(3.841458820694124 * (bad / cast(n as double) * (1 - bad / cast(n as double)) / n + 3.841458820694124 / (4 * cast(n as double) * n)))) / (1 + 3.841458820694124 / n)) end;

-- The name a model file is asked for by, where some run tells it and all agree.
create or replace view names_of_files as
select blob, min(model) as model
from model_loads
where blob is not null and model is not null
group by blob
having count(distinct model) = 1;
comment on view names_of_files is 'Model files whose name the log tells, once for all runs';
comment on column names_of_files.blob is 'First digits of the digest of the file';
comment on column names_of_files.model is 'The one name it is asked for by';

create or replace view incident_groups as
with roots as (
    select e.incident_id, arg_min(e.model, e.error_id) filter (where e.model is not null) as model,
        arg_min(e.endpoint, e.error_id) filter (where e.endpoint is not null) as endpoint
    from errors as e inner join incidents as i on i.incident_id = e.incident_id and i.root_event_id = e.event_id
    group by e.incident_id
),
hits as (
    select incident_id, event_id, model, endpoint, client_address, cast(null as varchar) as client from requests where incident_id is not null and surface = 'ollama'
    union all
    select incident_id, event_id, model, endpoint, cast(null as varchar) as client_address, client from calls where incident_id is not null
),
first_hits as (
    select incident_id, arg_min(model, event_id) filter (where model is not null) as model, arg_min(endpoint, event_id) filter (where endpoint is not null) as endpoint,
        arg_min(client, event_id) filter (where client is not null) as client, arg_min(client_address, event_id) filter (where client_address is not null) as client_address
    from hits
    group by incident_id
)
select
    i.incident_id, i.first_ts, i.last_ts, i.code, i.severity, i.models, s.host, s.version,
    coalesce(r.model, i.models[1], h.model, case when c.phase = 'load' then coalesce(l.model, f.model, l.blob) end) as model,
    coalesce(r.endpoint, h.endpoint) as endpoint, h.client, h.client_address
from incidents as i
asof left join model_loads as l on l.session_id = i.session_id and l.first_event_id <= i.root_event_id
left join names_of_files as f on f.blob = l.blob
left join roots as r on r.incident_id = i.incident_id
left join first_hits as h on h.incident_id = i.incident_id
left join causes as c on c.code = i.code
left join server_sessions as s on s.session_id = i.session_id;
comment on view incident_groups is 'One row per incident with the one model, route, client and version it is counted under';
comment on column incident_groups.models is 'All models its records name, sorted';
comment on column incident_groups.model is 'Model its root names, else the first its records or requests name, else, of a failed load, the name or digest of its file; NULL when the log does not tell';
comment on column incident_groups.endpoint is 'Route its root names, else that of the first request it hit; NULL when it hit none';
comment on column incident_groups.client is 'Client of the first call it hit; NULL when no client recorded it';
comment on column incident_groups.client_address is 'Address of the first request it hit';
comment on column incident_groups.version is 'Version of Ollama, from the run it began in';

create or replace view asked as
select
    r.ts_end, r.session_id, s.host, s.version, coalesce(r.model, c.model) as model, r.endpoint, r.client_address, c.client, coalesce(r.code, c.code) as code,
    case when r.outcome in ('not_observable', 'completed') and c.outcome <> 'not_observable' then c.outcome else r.outcome end as outcome,
    case when c.call_id is null then 'server' else 'both' end as seen_by
from requests as r
left join calls as c on c.request_id = r.request_id
left join server_sessions as s on s.session_id = r.session_id
where r.is_inference and r.surface = 'ollama'
union all by name
select ts_end, cast(null as integer) as session_id, host, cast(null as varchar) as version, model, endpoint, cast(null as varchar) as client_address, client, code, outcome, 'client' as seen_by
from calls
where is_inference and request_id is null;
comment on view asked is 'One row per inference request: access lines of Ollama, and calls that have none; what server and client saw counts once';
comment on column asked.model is 'Model, as the server or the client names it';
comment on column asked.version is 'Version of Ollama that answered; NULL when its start is not in the log';
comment on column asked.outcome is 'What the access line or the client proves: completed, failed, failed_before_first_byte, failed_mid_stream, truncated, cancelled_by_client, not_observable';
comment on column asked.seen_by is 'server, client or both';

-- What looks like a problem and no rule knows.
create or replace view unknown_problems as
with worded as (  -- words of trouble that are no part of a name such as error.log, and what they are when nothing went wrong
    select template_id, regexp_matches(text, '(^|[\s"''`(\[{<:;,=|])(fail(ed|ure)? (to|with|on|in|at|while|because|loading)\b|failed:|error:|error (while|when|during|in|on|from|loading|reading|writing|opening)\b|fatal( error)?:|panic:|(can ?not|can''t|could not|couldn''t) (be|find|open|read|write|load|connect|create|allocate|parse|decode|get|set|start|bind)\b|unable to|timed out|out of memory|permission denied|access denied|connection (refused|reset)|segmentation fault|segfault|core dumped|traceback \(|no space left)') as is_clear
    from (select template_id, regexp_replace(lower(template), '\b(no|without( any)?|ignor(e|ing)|if|on|zero) (errors?|failures?|exceptions?)\b|\b(above|following|another) exception\b|\berrors? (rate|log)s?\b', '', 'g') as text from templates) as t
    where regexp_matches(text, '(^|[\s"''`(\[{<:;,=|!])(errors?|fail(s|ed|ure|ures|ing)?|fatal|panic(ked)?|exceptions?|can ?not|can''t|could not|couldn''t|unable|invalid|refused|denied|timed out|timeout|killed|abort(s|ed|ing)?|crash(ed|es)?|corrupt(ed|ion)?|out of memory|no space left|seg(mentation )?fault|core dumped|traceback|not permitted|insufficient|unauthorized|forbidden)($|[\s"''`)\]}>:;,=|!?]|\.($|\s))')
)
-- The words decide where no level is written, and with a level that an application chose; below a warning only clear phrases do.
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e inner join worded as w on w.template_id = e.template_id
where e.code is null and e.format not in ('foreign', 'powershell-note') and (e.format <> 'nginx-error' or e.component is not null)
  and (w.is_clear or coalesce(e.level, 'ERROR') in ('WARN', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL'))
union all
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e
where e.level in ('WARN', 'WARNING', 'ERROR', 'FATAL') and e.code is null and e.template_id is not null and e.template_id not in (select template_id from worded)
  and e.format not in ('foreign', 'powershell-note', 'client-text', 'client-note') and (e.format <> 'nginx-error' or e.component is not null);
comment on view unknown_problems is 'One row per record that looks like a problem by its level or its words and that no rule knows';
