-- How well a line names the cause: 0 best.
create or replace temp macro vagueness_of(confidence, cause, category) as case
    when category = 'unknown' then 9
    when confidence = 'guess' then 8
    -- What the service manager saw of a server that told its reason.
    when cause in ('systemd_restart', 'model_capabilities_unknown') then 6
    when cause in ('systemd_exit', 'app_server_crash') then 5
    when cause in ('load_error', 'runner_terminated', 'runner_crashed', 'ggml_abort', 'native_abort', 'load_failed',
        'runner_error_body') then 4
    when cause like 'load_crashed%'
        or cause in ('panic', 'context_create_failed', 'runner_crashed_midstream', 'oom_predicted', 'oom_retry') then 3
    -- What the memory was for says more than which buffer it was.
    when cause in ('kv_cache_alloc_failed', 'compute_buffer_alloc_failed') then 0
    when cause = 'metal_command_failed' then 2
    when category in ('memory', 'gpu', 'model_file', 'cancelled') then 1
    else 2
end;
