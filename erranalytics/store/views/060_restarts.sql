-- Whether an error shows that a server did not start, ended, or was started again.
create or replace macro is_restart(cause, category, phase, severity, message) as
    cause in ('systemd_exit', 'systemd_restart', 'app_server_crash')
        or (severity <> 'warning' and phase = 'startup' and category in ('service', 'storage'))
        or (category = 'storage' and starts_with(message, 'Error: '));
