create or replace view crashes as
with incident_errors as (
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
    from incident_errors
    group by incident_id
    having bool_or(is_os or is_server or is_start or is_runner)
),
-- one incident explains the end of a run: a restart loop, else the last kill, else what the service manager reported
run_ends as (
    select t.incident_id, t.session_id, bool_or(t.is_os) as is_os
    from incident_errors as t
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
server_deaths as (
    select
        e.incident_id,
        max(r.session_id) as session_id,
        bool_or(r.end_reason = 'oom_killed') as is_killed,
        count(*) as end_count,
        max(r.next_ts) as back_ts
    from run_ends as e
    inner join runs as r on r.session_id = e.session_id
    group by e.incident_id
),
-- The model that was loaded when a runner died, and when it was loaded again.
runner_models as (
    select d.incident_id, l.model, l.title, l.blob
    from (
        select d.incident_id, i.root_event_id, i.session_id
        from deaths as d
        inner join incidents as i on i.incident_id = d.incident_id
    ) as d
    asof inner join model_loads as l
        on l.session_id = d.session_id and l.load_seq <= d.root_event_id
),
reloads as (
    select d.incident_id, min(l.ts_end) as back_ts
    from deaths as d
    inner join incidents as i on i.incident_id = d.incident_id
    left join runner_models as o on o.incident_id = d.incident_id
    inner join model_loads as l
        on l.session_id = i.session_id
            and l.load_seq > i.root_event_id
            and l.outcome = 'loaded'
            and l.ts_end >= i.first_ts
            and coalesce(l.blob = o.blob, true)
    where not d.is_server
    group by d.incident_id
),
suspected_streams as (
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
left join server_deaths as v on v.incident_id = d.incident_id
left join runner_models as o on o.incident_id = d.incident_id
left join reloads as a on a.incident_id = d.incident_id
left join suspected_streams as u on u.event_id = i.root_event_id
left join runs as r on r.session_id = i.session_id
-- A runner that reports why it cannot load a file has not crashed. A second server that finds its port in use does not
-- affect the first.
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
  and r.session_id not in (select session_id from run_ends);
comment on view crashes is
    'One row per death of a runner and per end of a run of the server; a server in a restart loop has one row';
comment on column crashes.ts is 'When it was first logged, UTC; for a run that ends without a message, its last record';
comment on column crashes.kind is
    'runner died, runner killed by the OS, server crashed, server killed by the OS, server restarted (without '
    'a logged reason), server stopped (on request), restart loop';
comment on column crashes.model is 'Model the runner had, where it is known';
comment on column crashes.suspected_count is 'Streams logged as 200 that it may have broken';
comment on column crashes.back_ts is
    'When the same model was loaded again, or the server was started again; NULL when the log does not show it';
comment on column crashes.last_ts is 'Its last record, UTC';
