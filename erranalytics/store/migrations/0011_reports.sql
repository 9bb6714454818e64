-- What several reports ask for: settings that were changed, how requests were timed and what they waited for, whose
-- memory a reading is of, and each death of a runner or of the server.

create table setting_defaults (
    name varchar not null,
    value varchar not null,
    since_version integer[],
    until_version integer[]
);
comment on table setting_defaults is
    'Values that the server prints for settings nobody has set, as real logs show them; an empty value, 0 and false '
    'are defaults of whatever is not named here';
comment on column setting_defaults.name is 'Name of the setting';
comment on column setting_defaults.value is 'Value it has by default';
comment on column setting_defaults.since_version is
    'First version with this default; NULL when all earlier ones have it';
comment on column setting_defaults.until_version is 'Last version with this default; NULL when all later ones have it';
insert into setting_defaults values
('OLLAMA_CONTEXT_LENGTH', '2048', null, [0, 6, 6]),
('OLLAMA_CONTEXT_LENGTH', '4096', [0, 6, 7], [0, 15, 4]),
('OLLAMA_CONTEXT_LENGTH', '0', [0, 15, 5], null),
('OLLAMA_DEBUG', 'false', null, null),
('OLLAMA_DEBUG', 'INFO', null, null),
('OLLAMA_GO_TEMPLATE', 'true', null, null),
('OLLAMA_HOST', 'http://127.0.0.1:11434', null, null),
('OLLAMA_KEEP_ALIVE', '', null, [0, 1, 48]),
('OLLAMA_KEEP_ALIVE', '5m0s', null, null),
('OLLAMA_LOAD_TIMEOUT', '5m0s', null, null),
('OLLAMA_MAX_LOADED_MODELS', '1', null, [0, 1, 48]),
('OLLAMA_MAX_LOADED_MODELS', '0', [0, 2, 0], null),
('OLLAMA_MAX_QUEUE', '512', null, null),
('OLLAMA_MAX_TRANSFER_STREAMS', '4', null, null),
('OLLAMA_NUM_PARALLEL', '1', null, [0, 1, 48]),
('OLLAMA_NUM_PARALLEL', '0', [0, 2, 0], [0, 11, 3]),
('OLLAMA_NUM_PARALLEL', '1', [0, 10, 0], null),
('OLLAMA_REMOTES', '[ollama.com]', null, null),
('OLLAMA_VULKAN', 'false', null, [0, 29, 99]),
('OLLAMA_VULKAN', 'true', [0, 30, 0], null);

-- Of origins only those are shown that were added; a folder of models is that of a user or of the service.
create view settings as
with told as (
    select
        s.session_id, u.entry.key as name, u.entry.value as told,
        list_transform(
            regexp_extract_all(s.version, '\d+')[1:3],
            lambda part: cast(part as integer)
        ) as version
    from server_sessions as s, unnest(map_entries(s.config)) as u (entry)
),
read as (
    select
        session_id, name,
        nullif(version, [0, 0, 0]) as version,
        case
            when name = 'OLLAMA_ORIGINS'
                then trim(
                    regexp_replace(
                        regexp_replace(told, '^\[', ''),
                        '(?:^| )https?://localhost(?: .*)?$',
                        ''
                    )
                )
            else told
        end as value
    from told
)
select
    r.session_id, r.name, r.value,
    coalesce(
        bool_or(d.value = r.value),
        not bool_or(d.name is not null)
            and (
                r.value in ('', '0', 'false')
                or (
                    r.name = 'OLLAMA_MODELS'
                    and regexp_matches(r.value, '[/\\]\.ollama[/\\]+models$')
                )
            )
    ) as is_default
from read as r
left join setting_defaults as d
    on d.name = r.name
        and (
            r.version is null
            or (
                (d.since_version is null or d.since_version <= r.version)
                and (d.until_version is null or d.until_version >= r.version)
            )
        )
group by r.session_id, r.name, r.value;
comment on view settings is 'One row per setting that a run of the server printed at its start';
comment on column settings.value is 'Value as it was printed; of OLLAMA_ORIGINS only what was added';
comment on column settings.is_default is
    'The value the version has when nobody sets it; of a build without a version, one that some version has';

create view measures as
-- a call and the line nearest to the model that is the same request
with asked as (
    select
        c.*,
        coalesce(c.request_id, g.request_id) as line_id,
        c.request_id is null and g.request_id is null as is_alone
    from calls as c
    left join (
        select asked_by as call_id, min(request_id) as request_id
        from requests
        where asked_by is not null
        group by asked_by
    ) as g
        on g.call_id = c.call_id
),
lines as (
    select
        r.request_id, c.call_id, r.surface, r.ts_start, r.ts_end, r.duration_us, r.endpoint,
        coalesce(r.model, c.model) as model,
        s.version, r.status,
        coalesce(c.client, r.client_address) as client,
        case
            when c.outcome is not null and c.outcome <> 'not_observable' then c.outcome
            else r.outcome
        end as outcome,
        r.suspected_by is not null
            and coalesce(c.outcome, 'not_observable') = 'not_observable' as is_suspected,
        coalesce(r.code, c.code) as code,
        c.first_chunk_ms, c.attempt, r.session_id,
        coalesce(s.host, c.host) as host,
        r.event_id,
        coalesce(r.incident_id, c.incident_id) as incident_id,
        r.is_inference,
        r.surface = 'ollama' or r.answered_by is null as is_nearest
    from requests as r
    left join asked as c on c.line_id = r.request_id
    left join server_sessions as s on s.session_id = r.session_id
    where not r.is_poll
    union all
    select
        c.request_id, c.call_id, 'client', c.ts_start, c.ts_end,
        cast(round(c.duration_ms * 1000) as bigint),
        c.endpoint,
        coalesce(c.model, r.model),
        s.version, c.http_status, c.client, c.outcome, false,
        coalesce(c.code, r.code),
        c.first_chunk_ms, c.attempt, r.session_id,
        coalesce(c.host, s.host),
        c.event_id,
        coalesce(c.incident_id, r.incident_id),
        c.is_inference, c.is_alone
    from asked as c
    left join requests as r on r.request_id = c.line_id
    left join server_sessions as s on s.session_id = r.session_id
)
select
    *,
    case
        when outcome = 'cancelled_by_client' then 'cancelled'
        when outcome in ('failed', 'failed_before_first_byte', 'failed_mid_stream', 'truncated')
            then 'failed'
        when is_suspected then 'suspected'
        else 'answered'
    end as fate
from lines;
comment on view measures is
    'One row per request and place where it was timed: access line of Ollama, of a gateway, record of a client; '
    'without polls';
comment on column measures.surface is 'ollama, gateway or client: whose clock';
comment on column measures.duration_us is 'How long it took there, microseconds; NULL where it was not told';
comment on column measures.outcome is 'What a client proved, else what the line tells';
comment on column measures.fate is
    'answered (completed, or a 200 that nothing speaks against), suspected (a 200 over the death of a runner), '
    'failed, cancelled';
comment on column measures.is_nearest is
    'The place nearest to the model that saw it: of all rows with this each request has one';

create view waits as
select
    r.request_id, l.load_seq, l.duration_us as load_us,
    coalesce(l.model, l.title, l.blob) as load_model,
    case
        when r.model in (l.model, l.blob) then true
        when r.model is not null and l.model is not null then false
    end as is_own
from (select * from requests where is_inference and surface = 'ollama') as r
asof inner join (select * from model_loads where duration_us is not null) as l
    on l.session_id = r.session_id and l.last_event_id < r.event_id
where l.ts_start >= r.ts_start and l.duration_us <= r.duration_us;
comment on view waits is
    'One row per request inside which a model was loaded: its last load before the end of the request';
comment on column waits.load_us is 'How long the load took, microseconds';
comment on column waits.load_model is 'Model that was loaded, else the title of its file, else its digest';
comment on column waits.is_own is
    'The model of the request; false when it was another one, NULL when one of the two is not known by that name';

create view device_readings as
-- from v0.12.4 on the start of the server tells both names of a device
with pairs as (
    select g.session_id, g.device_id, nullif(e.attrs ->> '$.name', '') as device
    from gpu_memory as g
    inner join events as e on e.event_id = g.event_id
    where g.source = 'inference_compute' and (e.attrs ->> '$.description') is not null
),
names as (
    select session_id, device_id, any_value(device) as device
    from pairs
    where device is not null
    group by session_id, device_id
    having count(distinct device) = 1
),
-- Before that a runner and the scheduler mean the same one where each knows one device of that name.
lone as (
    select
        session_id, name,
        min(device_id) filter (where is_runner) as device,
        min(device_id) filter (where not is_runner) as device_id
    from (
        select distinct session_id, name, device_id, source in ('runner_device') as is_runner
        from gpu_memory
        where library is distinct from 'cpu' and name is not null
    ) as seen
    group by session_id, name
    having count(*) = 2 and count(*) filter (where is_runner) = 1
)
select
    g.event_id, g.source_id, g.session_id, s.host,
    coalesce(s.host, f.uri) as place,
    g.ts,
    coalesce(
        n.device, l.device,
        regexp_replace(g.device_id, '^(GPU-[0-9a-f]{8})-[0-9a-f-]+$', '\1')
    ) as device,
    g.device_id, g.library, g.name, g.total_bytes, g.free_bytes, g.used_bytes, g.source
from gpu_memory as g
inner join (select source_id, min(uri) over (partition by stream_id) as uri from sources) as f
    on f.source_id = g.source_id
left join server_sessions as s on s.session_id = g.session_id
left join names as n on n.session_id = g.session_id and n.device_id = g.device_id
left join lone as l on l.session_id = g.session_id and l.device_id = g.device_id;
comment on view device_readings is 'gpu_memory with one name for each device, whoever told of it';
comment on column device_readings.place is 'Host, else the log that tells it';
comment on column device_readings.device is
    'The device as a runner names it (CUDA0), else as the scheduler does, GPU- and the first eight digits; cpu is '
    'the memory of the host';

create view runs as
select *, lead(ts_start) over (partition by stream_id order by ts_end, session_id) as next_ts
from (
    select
        s.session_id, s.host, s.version, s.ts_start, s.ts_end, s.end_reason, s.config, s.devices,
        s.first_event_id, s.last_event_id, f.stream_id
    from server_sessions as s
    inner join sources as f on f.source_id = s.source_id
    where s.ts_start is not null
      or s.session_id in (select session_id from requests where surface = 'ollama')
      or s.session_id in (select session_id from model_loads)
      or s.session_id in (select session_id from errors where surface = 'server')
) as servers;
comment on view runs is
    'server_sessions of servers only, without stretches of log in which only clients or gateways speak';
comment on column runs.stream_id is 'Log it was read from, over all its pieces';
comment on column runs.next_ts is 'Start of the run after it in the same log';

create view crashes as
with told as (
    select
        e.incident_id, e.session_id, e.ts, e.event_id, e.cause, e.exit_code, e.signal, e.captures,
        e.cause in ('kernel_oom', 'cgroup_oom', 'systemd_oom') as is_os,
        e.cause in ('systemd_exit', 'systemd_restart', 'app_server_crash') as is_server,
        is_restart(e.cause, e.category, e.phase, e.severity, e.message) as is_start,
        e.cause in (
            'runner_killed', 'load_killed', 'runner_crashed', 'runner_crashed_midstream',
            'load_runner_crashed', 'load_crashed', 'load_crashed_signal', 'load_crashed_go_panic',
            'load_terminated', 'load_gpu_error', 'cpu_illegal_instruction',
            'windows_access_violation', 'windows_stack_buffer_overrun', 'windows_dll_not_found',
            'windows_entrypoint_not_found', 'windows_access_denied', 'windows_stack_overflow',
            'runner_terminated', 'ggml_assert', 'native_abort', 'segfault', 'panic', 'fatal_error',
            'cpp_exception', 'ggml_abort', 'kernel_oom', 'cgroup_oom'
        ) as is_runner
    from errors as e
    where e.incident_id is not null and e.surface <> 'gateway'
),
deaths as (
    select
        incident_id,
        bool_or(is_os) as is_os,
        bool_or(is_server) as is_server,
        bool_or(is_start) as is_start,
        bool_or(is_runner) as is_runner,
        coalesce(
            arg_min(signal, event_id),
            case when bool_or(cause in ('runner_killed', 'load_killed')) then 'killed' end
        ) as signal,
        arg_min(exit_code, event_id) as exit_code
    from told
    group by incident_id
    having bool_or(is_os or is_server or is_start or is_runner)
),
-- the end of a run is explained by one incident: a loop, else the last kill, else what the service manager saw
ends as (
    select t.incident_id, t.session_id, bool_or(t.is_os) as is_os
    from told as t
    inner join runs as r on r.session_id = t.session_id
    inner join incidents as i on i.incident_id = t.incident_id
    where (r.end_reason in ('crashed', 'oom_killed') and (t.is_server or t.is_os or t.is_start))
      or (r.end_reason = 'restarted' and (t.is_server or (t.is_start and i.restart_count > 0)))
    group by t.incident_id, t.session_id
    qualify row_number() over (
        partition by t.session_id
        order by
            any_value(i.restart_count) > 1 desc,
            bool_or(t.is_os) and any_value(r.end_reason) = 'oom_killed' desc,
            bool_or(t.is_server or t.is_start) desc,
            t.incident_id desc
    ) = 1
),
of_servers as (
    select
        e.incident_id,
        max(r.session_id) as session_id,
        bool_or(r.end_reason = 'oom_killed') as is_killed,
        count(*) as end_count,
        max(r.next_ts) as back_ts
    from ends as e
    inner join runs as r on r.session_id = e.session_id
    group by e.incident_id
),
-- What was loaded when a runner died, and when it was there again.
of_runners as (
    select d.incident_id, l.model, l.title, l.blob
    from (
        select d.incident_id, i.root_event_id, i.session_id
        from deaths as d
        inner join incidents as i on i.incident_id = d.incident_id
    ) as d
    asof inner join model_loads as l
        on l.session_id = d.session_id and l.load_seq <= d.root_event_id
),
loads_again as (
    select d.incident_id, min(l.ts_end) as back_ts
    from deaths as d
    inner join incidents as i on i.incident_id = d.incident_id
    left join of_runners as o on o.incident_id = d.incident_id
    inner join model_loads as l
        on l.session_id = i.session_id
            and l.load_seq > i.root_event_id
            and l.outcome = 'loaded'
            and l.ts_end >= i.first_ts
            and coalesce(l.blob = o.blob, true)
    where not d.is_server
    group by d.incident_id
),
suspects as (
    select suspected_by as event_id, count(*) as suspected_count
    from requests
    where suspected_by is not null
    group by suspected_by
)
select
    i.first_ts as ts,
    case
        when i.restart_count > 1 then 'restart loop'
        when v.session_id is not null or (d.is_server and not d.is_os)
            then case when v.is_killed then 'server killed by the OS' else 'server crashed' end
        when d.is_os then 'runner killed by the OS'
        else 'runner died'
    end as kind,
    coalesce(v.session_id, i.session_id) as session_id,
    i.code, d.signal, d.exit_code,
    coalesce(
        list_filter(i.models, lambda m: not starts_with(m, 'sha256-'))[1],
        case when d.is_runner then coalesce(o.model, o.title, o.blob) end,
        i.models[1]
    ) as model,
    i.request_count, i.call_count,
    coalesce(u.suspected_count, 0) as suspected_count,
    greatest(i.restart_count, case when v.back_ts is not null then 1 else 0 end) as restart_count,
    case
        when d.is_server or v.session_id is not null then v.back_ts
        else coalesce(a.back_ts, r.next_ts)
    end as back_ts,
    i.incident_id, i.root_event_id as event_id, i.last_ts
from deaths as d
inner join incidents as i on i.incident_id = d.incident_id
inner join causes as c on c.code = i.code
left join of_servers as v on v.incident_id = d.incident_id
left join of_runners as o on o.incident_id = d.incident_id
left join loads_again as a on a.incident_id = d.incident_id
left join suspects as u on u.event_id = i.root_event_id
left join runs as r on r.session_id = i.session_id
-- A runner that says why it cannot load a file has not crashed; a second start on a port in use leaves the first alone.
where i.recovered_event_id is null
  and (
      (d.is_runner and c.category in ('runner', 'gpu', 'memory', 'unknown'))
      or d.is_os
      or i.restart_count > 1
      or v.session_id is not null
  )
union all
select
    r.ts_end,
    case r.end_reason
        when 'oom_killed' then 'server killed by the OS'
        when 'crashed' then 'server crashed'
        when 'restarted' then 'server restarted'
        else 'server stopped'
    end,
    r.session_id, null, null, null, null, 0, 0, 0,
    case when r.next_ts is null then 0 else 1 end,
    r.next_ts, null, r.last_event_id, r.ts_end as last_ts
from runs as r
where r.end_reason in ('oom_killed', 'crashed', 'restarted', 'stopped')
  and r.session_id not in (select session_id from ends);
comment on view crashes is
    'One row per death of a runner and per end of a run of the server; a server that is started again and again is '
    'one row';
comment on column crashes.ts is 'When it was first told; a run that ends without a word, its last record; UTC';
comment on column crashes.kind is
    'runner died, runner killed by the OS, server crashed, server killed by the OS, server restarted (nothing says '
    'why), server stopped (it was told to), restart loop';
comment on column crashes.model is 'Model the runner had, where it is known';
comment on column crashes.suspected_count is 'Streams logged as 200 that its death may have broken';
comment on column crashes.back_ts is
    'When the same model was loaded again, or the server was started again; NULL when the log does not show it';
comment on column crashes.last_ts is 'Its last record, UTC';

create macro duration_text(us) as case
    when us >= 7200000000 then printf('%dh%02dm', us // 3600000000, us % 3600000000 // 60000000)
    when us >= 120000000 then printf('%dm%02ds', us // 60000000, us % 60000000 // 1000000)
    else printf('%.1f s', us / 1000000.0)
end;
