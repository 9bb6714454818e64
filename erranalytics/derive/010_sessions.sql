-- Runs of the server: what they say of themselves, when and how they end.
delete from server_sessions where session_id in (select session_id from scope);

insert into server_sessions by name
with known as (
    -- Of millions of records a few tell of the run; their templates find them without a look at the texts.
    select template_id from templates
    where template in ('server config', 'inference compute') or template like 'Listening on %'
),
marked as (
    select session_id, event_id, ts, pid, message, attrs, cause, message like 'Listening on %(version%' as is_listening
    from events
    where session_id in (select session_id from scope) and template_id in (select template_id from known)
    union all
    select session_id, event_id, ts, pid, message, attrs, cause, false
    from events
    where session_id in (select session_id from scope) and cause in ('kernel_oom', 'cgroup_oom', 'systemd_oom', 'service_stopped', 'systemd_exit', 'app_server_crash')
),
marks as (
    select
        session_id,
        max(regexp_extract(message, '\(version ([^)]+)\)', 1)) filter (where is_listening) as version,
        min(ts) filter (where message = 'server config' or is_listening) as ts_start,
        any_value(attrs ->> '$.env') filter (where message = 'server config') as env,
        list(distinct coalesce(nullif(attrs ->> '$.description', ''), attrs ->> '$.name') || ' ' || coalesce(attrs ->> '$.total', ''))
            filter (where message = 'inference compute') as devices,
        bool_or(cause in ('kernel_oom', 'cgroup_oom', 'systemd_oom')) as is_oom_killed,
        bool_or(cause = 'service_stopped') as is_stopped,
        bool_or(cause in ('systemd_exit', 'app_server_crash')) as is_crashed,
        arg_min(pid, event_id) filter (where pid is not null and message like 'Listening on %') as pid
    from marked
    group by session_id
),
spans as (
    select session_id, min(source_id) as source_id, max(ts) as ts_end, min(event_id) as first_event_id, max(event_id) as last_event_id
    from events
    where session_id in (select session_id from scope)
    group by session_id
)
select
    s.session_id, s.source_id, f.host, m.pid, nullif(m.version, '') as version, m.ts_start, s.ts_end,
    case
        when m.is_oom_killed then 'oom_killed'
        when m.is_stopped then 'stopped'
        when m.is_crashed then 'crashed'
        else 'unknown'
    end as end_reason,
    -- Keys are upper case, values may hold blanks and colons: cut before each key.
    map_from_entries(list_transform(
        list_filter(str_split(regexp_replace(regexp_extract(m.env, '^map\[(.*)\]$', 1), '(^| )([A-Z][A-Z0-9_]+|https?_proxy|no_proxy):', chr(1) || '\2:', 'g'), chr(1)), lambda kv: kv <> ''),
        lambda kv: {'k': split_part(kv, ':', 1), 'v': substr(kv, strpos(kv, ':') + 1)}
    )) as config,
    m.devices, s.first_event_id, s.last_event_id
from spans as s
left join marks as m using (session_id)
left join events as f on f.event_id = s.first_event_id;

-- A run that is followed by another of the same server ended with it.
update server_sessions set end_reason = 'restarted'
where end_reason = 'unknown' and session_id in (
    select a.session_id
    from server_sessions as a
    inner join sources as sa on sa.source_id = a.source_id
    inner join sources as sb on sb.stream_id = sa.stream_id
    inner join server_sessions as b on b.source_id = sb.source_id
    where b.ts_end > a.ts_end and (a.session_id in (select session_id from scope) or b.session_id in (select session_id from scope))
);
