-- What the log says of the memory of devices, and of each load what its file says of itself.

create table gpu_memory (
    event_id bigint not null,
    source_id integer not null,
    session_id integer,
    ts timestamptz,
    device_id varchar not null,
    library varchar,
    name varchar,
    total_bytes bigint,
    free_bytes bigint,
    used_bytes bigint,
    source varchar not null
);
comment on table gpu_memory is 'One row per reading of the memory of a device';
comment on column gpu_memory.event_id is 'The record that tells it; the list of devices of a runner tells of several';
comment on column gpu_memory.source_id is 'Source it was read from';
comment on column gpu_memory.session_id is 'Run of the server';
comment on column gpu_memory.ts is 'Time, UTC';
comment on column gpu_memory.device_id is
    'Device as the line names it: GPU-…, an index, CUDA0, Metal; cpu is the memory of the host';
comment on column gpu_memory.library is 'cuda, rocm, metal, vulkan, oneapi or cpu, where it is known';
comment on column gpu_memory.name is
    'Name of the device, from the line or from the inference compute line of the same device';
comment on column gpu_memory.total_bytes is
    'Memory of the device, from the line or from the inference compute line of the same device';
comment on column gpu_memory.free_bytes is 'Memory that was free';
comment on column gpu_memory.used_bytes is
    'Total minus free, by whomever it was used; NULL when one of them is not known';
comment on column gpu_memory.source is
    'Which line: inference_compute, gpu_memory, system_memory, vram_update, memory_refresh, runner_device, '
    'device_report';

alter table model_loads add column title varchar;
comment on column model_loads.title is
    'Name that the model file gives itself (general.name); not the name it is asked for by';
comment on column model_loads.model is
    'Name the model is asked for by, where the log tells it (OLLAMA_DEBUG, MLX); else NULL, see blob and title';
comment on column model_loads.blob is 'First digits of the digest of the model file: sha256- and twelve of them';
comment on column model_loads.load_seq is
    'Number of the attempt: the event that starts the runner, or that says why none was started';
comment on column model_loads.duration_us is
    'End minus start, microseconds; NULL when no runner was started or the end is not in the log';
comment on column model_loads.code is
    'Code of the cause when it failed: the first fault of memory, else the first fault';
comment on column model_loads.kv_cache_type is 'Type of the key/value cache, as asked for or as the runner tells it';
comment on column model_loads.flash_attention is 'on, off or auto: what the runner decided, else what was asked for';
comment on column model_loads.layers_total is 'Layers of the model, the output layer included';
comment on column model_loads.weights_bytes is
    'Sum of the weight buffers, bytes; where no runner tells them, as the scheduler laid them out or estimated them';
comment on column model_loads.kv_bytes is
    'Sum of the buffers of the key/value cache and of recurrent state, bytes; else as laid out or estimated';
comment on column model_loads.graph_bytes is 'Sum of the compute buffers, bytes; else as laid out or estimated';
comment on column model_loads.required_bytes is
    'What the log says was needed, bytes: of a refusal, the estimate, the layout or the projection';
comment on column model_loads.available_bytes is
    'What the log says was free for it, bytes, on all devices together; of the host where there is none';
comment on column server_sessions.devices is
    'Devices from the inference compute lines, else the names that the runner or the search for libraries gives';
comment on column server_sessions.end_reason is
    'stopped, crashed, oom_killed, restarted (followed by another run), running (systemd tells of ends and told '
    'none until the last record), unknown';
comment on column requests.model_source is
    'How the model is known: body_file (dump of the request), slog (the scheduler names it at the end of the '
    'request), message (an error of the request names it), single_loaded (the only model that was ever loaded in '
    'the run)';
