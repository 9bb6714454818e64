-- Sessions of the server: what they say of themselves, when and how they end.
--
-- reads: events, scope, server_sessions, sources, template_kinds, templates
-- makes: run_lines, one row per record that a session begins, ends or describes itself with
-- writes: server_sessions

delete from server_sessions where session_id in (select session_id from scope);

create or replace temp table run_lines as
select
    e.session_id, e.event_id, e.ts, e.pid, e.message, e.attrs,
    case
        when e.cause in ('kernel_oom', 'cgroup_oom') then 'oom_kill'
        when e.cause = 'app_server_crash' then 'exited'
        -- The template of a result has its name masked.
        when k.of_run = 'exited' and contains(e.message, 'oom-kill') then 'oom_result'
        else k.of_run
    end as kind
from events as e
left join template_kinds as k using (template_id)
where e.session_id in (select session_id from scope)
    and (k.of_run is not null or e.cause in ('kernel_oom', 'cgroup_oom', 'app_server_crash'));

insert into server_sessions by name
with session_facts as (
    select
        session_id,
        max(regexp_extract(message, '\(version ([^)]+)\)', 1)) filter (where kind = 'listening') as version,
        min(ts) filter (where kind in ('config', 'listening')) as ts_start,
        any_value(attrs ->> '$.env') filter (where kind = 'config') as env,
        list(distinct coalesce(nullif(attrs ->> '$.description', ''), nullif(attrs ->> '$.name', ''),
            attrs ->> '$.library') || ' ' || coalesce(attrs ->> '$.total', ''))
            filter (where kind = 'device') as devices,
        max_by(regexp_extract_all(attrs ->> '$.lines', 'Device \d+: ([^,\n]+)', 1), event_id)
            filter (where kind = 'device_list') as devices_listed,
        list(distinct split_part(message, ' ', 1) || ' GPU') filter (where kind = 'device_maker') as makers,
        min(event_id) filter (where kind = 'stopped') as stopped_id,
        min(event_id) filter (where kind in ('exited', 'oom_result')) as exited_id,
        bool_or(kind = 'oom_result') as is_oom_result,
        max(event_id) filter (where kind = 'oom_kill') as oom_id,
        max(ts) filter (where kind = 'oom_kill') as oom_ts,
        min(ts) filter (where kind in ('exited', 'oom_result')) as exited_ts,
        list(try_cast(regexp_extract(message, 'Killed process (\d+)', 1) as integer))
            filter (where kind = 'oom_kill') as killed_pids,
        arg_min(pid, event_id) filter (where pid is not null and kind in ('listening', 'listening_old')) as pid
    from run_lines
    group by session_id
),
session_spans as (
    select
        session_id, min(source_id) as source_id, max(ts) as ts_end, min(event_id) as first_event_id,
            max(event_id) as last_event_id,
        -- The last record of Ollama itself.
        max(event_id) filter (where format not in ('systemd', 'kernel', 'journald-note',
            'container-note')) as last_said_id
    from events
    where session_id in (select session_id from scope)
    group by session_id
),
session_ends as (
    select
        s.session_id,
        case
            when m.is_oom_result then 'oom_killed'
            -- The first of the two decides: after a crash systemd also says "Stopped" before it starts the unit again.
            when m.stopped_id < coalesce(m.exited_id, m.stopped_id + 1) then 'stopped'
            when m.exited_id is not null and m.exited_ts - m.oom_ts between interval 0 second and interval 10 second
                then 'oom_killed'
            when m.exited_id is not null then 'crashed'
            -- A killed runner does not end the server. A server that writes nothing afterwards is the process that was
            -- killed.
            when m.oom_id > s.last_said_id or list_contains(m.killed_pids, m.pid) then 'oom_killed'
            -- A server that cannot begin gives the reason and ends (cmd/cmd.go@v0.24.0, RunServer). Up to v0.1.31 the
            -- runner is a part of the server and takes it down too.
            when l.format = 'ollama-text' and starts_with(l.message, 'Error: ')
                and not starts_with(l.message, 'Error: listen tcp ') and m.version is null then 'crashed'
            when l.format in ('go-panic', 'go-dump')
                and regexp_matches(m.version, '^0\.(?:0\.\d+|1\.(?:\d|[12]\d|3[01]))$') then 'crashed'
            else 'unknown'
        end as end_reason
    from session_spans as s
    left join session_facts as m using (session_id)
    left join events as l on l.event_id = s.last_said_id
)
select
    s.session_id, s.source_id, f.host, m.pid, nullif(m.version, '') as version, m.ts_start, s.ts_end, e.end_reason,
    -- Keys are upper case, values may hold blanks and colons: cut before each key.
    map_from_entries(list_transform(
        list_filter(str_split(regexp_replace(regexp_extract(m.env, '^map\[(.*)\]$', 1),
            '(^| )([A-Z][A-Z0-9_]+|https?_proxy|no_proxy):', chr(1) || '\2:', 'g'), chr(1)), lambda kv: kv <> ''),
        lambda kv: {'k': split_part(kv, ':', 1), 'v': substr(kv, strpos(kv, ':') + 1)}
    )) as config,
    coalesce(list_sort(m.devices), m.devices_listed, m.makers) as devices, s.first_event_id, s.last_event_id
from session_spans as s
inner join session_ends as e using (session_id)
left join session_facts as m using (session_id)
left join events as f on f.event_id = s.first_event_id;

-- systemd logs every end of its service. So where it wrote into the log of a host, a session without an end was still
-- running at the last record.
update server_sessions set end_reason = 'running'
where end_reason = 'unknown' and version is not null and session_id in (select session_id from scope)
    and source_id in (
        select a.source_id
        from sources as a
        inner join sources as b using (stream_id)
        inner join events as e on e.source_id = b.source_id
        where e.template_id in (select template_id from templates where format = 'systemd'
            and template like '%Started %llama%')
    );

-- A session that is followed by another one of the same server ended with it.
update server_sessions set end_reason = 'restarted'
where end_reason in ('unknown', 'running') and session_id in (
    select a.session_id
    from server_sessions as a
    inner join sources as sa on sa.source_id = a.source_id
    inner join sources as sb on sb.stream_id = sa.stream_id
    inner join server_sessions as b on b.source_id = sb.source_id
    where b.ts_end > a.ts_end and (a.session_id in (select session_id from scope)
        or b.session_id in (select session_id from scope))
);
