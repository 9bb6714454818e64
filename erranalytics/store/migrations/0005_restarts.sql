-- A server that dies at each start is one incident, however often it is started again.
alter table incidents add column restart_count bigint default 0;
comment on column incidents.restart_count is 'How often the server was started again in it';

-- What tells that a server did not start, ended, or is started again.
create macro is_restart(cause, category, phase, severity, message) as
    cause in ('systemd_exit', 'systemd_restart', 'app_server_crash')
    or (severity <> 'warning' and phase = 'startup' and category in ('service', 'storage'))
    or (category = 'storage' and starts_with(message, 'Error: '));
