-- The tables of a new store, as the migrations leave them; a test holds both equal. Comments, views and macros are in
-- views/.
-- Times are TIMESTAMPTZ in UTC, durations *_us, sizes *_bytes, counts *_count.

create table meta (
    key varchar primary key,
    value varchar not null
);

create table sources (
    source_id integer primary key,
    uri varchar not null,
    wrapper varchar not null,
    host varchar,
    unit varchar,
    encoding varchar not null,
    compression varchar not null,
    first_ts timestamptz,
    last_ts timestamptz,
    byte_count bigint not null,
    line_count bigint not null,
    head_digest varchar not null,
    content_digest varchar not null,
    resume_state varchar,
    hosts varchar[],
    stream_id integer,
    is_dated boolean,
    resume_byte bigint,
    resume_session_id integer,
    resume_fallback_id integer
);

create table loads (
    load_id integer primary key,
    source_id integer not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    byte_start bigint not null,
    byte_count bigint not null,
    line_count bigint not null,
    event_count bigint not null,
    duplicate_count bigint not null,
    reject_count bigint not null,
    version varchar not null,
    rulebook_hash varchar not null,
    formats_hash varchar not null
);

create table rejects (
    load_id integer not null,
    source_id integer not null,
    line_no bigint not null,
    line_count integer not null,
    reason varchar not null,
    sample varchar
);

create table gaps (
    gap_id integer not null,
    source_id integer not null,
    host varchar,
    unit varchar,
    from_ts timestamptz not null,
    to_ts timestamptz not null,
    reason varchar not null
);

create table events (
    event_id bigint not null,
    source_id integer not null,
    load_id integer not null,
    line_no bigint not null,
    line_count integer not null,
    ts timestamptz,
    ts_source varchar not null,
    host varchar,
    unit varchar,
    pid integer,
    format varchar not null,
    level varchar,
    component varchar,
    message varchar,
    attrs varchar,
    code varchar,
    cause varchar,
    template_id integer,
    session_id integer,
    incident_id bigint
);

create table templates (
    template_id integer primary key,
    template varchar not null,
    fingerprint varchar not null,
    format varchar not null,
    code varchar,
    first_ts timestamptz,
    last_ts timestamptz,
    event_count bigint not null,
    first_version varchar,
    last_version varchar
);

create table errors (
    error_id bigint not null,
    ts timestamptz,
    surface varchar not null,
    code varchar not null,
    cause varchar not null,
    category varchar not null,
    severity varchar not null,
    layer varchar,
    phase varchar,
    side varchar,
    retry varchar,
    error_class varchar,
    http_status smallint,
    status_source varchar not null,
    model varchar,
    model_source varchar,
    endpoint varchar,
    message varchar,
    exception_type varchar,
    fingerprint varchar,
    confidence varchar not null,
    rule varchar,
    event_id bigint,
    request_id bigint,
    call_id bigint,
    incident_id bigint,
    session_id integer,
    source_id integer not null,
    host varchar,
    captures varchar,
    device varchar,
    needed_bytes bigint,
    free_bytes bigint,
    missing_bytes bigint,
    buffer_bytes bigint,
    layers_offloaded bigint,
    layers_total bigint,
    num_ctx bigint,
    num_ctx_train bigint,
    prompt_tokens bigint,
    process_pid bigint,
    exit_code bigint,
    signal varchar,
    server_address varchar,
    server_port bigint,
    retry_after_s bigint,
    option varchar,
    restart_count bigint,
    wrapping varchar[],
    remedy varchar,
    ratelimit_limit bigint,
    ratelimit_remaining bigint,
    ratelimit_reset varchar,
    maintenance_until varchar,
    upstream_request_id varchar
);

create table incidents (
    incident_id bigint not null,
    first_ts timestamptz,
    last_ts timestamptz,
    code varchar not null,
    cause varchar not null,
    severity varchar not null,
    root_event_id bigint not null,
    error_count bigint not null,
    request_count bigint not null,
    call_count bigint not null,
    models varchar[],
    sides varchar not null,
    session_id integer,
    source_id integer not null,
    confidence varchar not null,
    restart_count bigint default 0,
    recovered_event_id bigint
);

create table requests (
    request_id bigint not null,
    ts_start timestamptz,
    ts_end timestamptz,
    duration_us bigint,
    status smallint,
    method varchar,
    path varchar,
    endpoint varchar,
    client_address varchar,
    model varchar,
    model_source varchar,
    outcome varchar,
    code varchar,
    session_id integer,
    incident_id bigint,
    event_id bigint not null,
    is_poll boolean not null,
    is_inference boolean not null,
    suspected_by bigint,
    surface varchar default 'ollama',
    upstream varchar,
    upstream_request_id varchar,
    answered_by bigint,
    explained_by bigint,
    asked_by bigint
);

create table calls (
    call_id bigint not null,
    event_id bigint not null,
    source_id integer not null,
    load_id integer not null,
    host varchar,
    mapping varchar not null,
    ts_start timestamptz,
    ts_end timestamptz,
    duration_ms double,
    client varchar,
    endpoint varchar,
    url_host varchar,
    method varchar,
    model varchar,
    stream boolean,
    http_status smallint,
    status_source varchar not null,
    outcome varchar not null,
    first_chunk_ms double,
    chunk_count bigint,
    last_chunk_gap_ms double,
    done_seen boolean,
    error_type varchar,
    error_message varchar,
    error_body varchar,
    retry_after_s double,
    ratelimit_limit bigint,
    ratelimit_remaining bigint,
    ratelimit_reset varchar,
    maintenance_until timestamptz,
    upstream_request_id varchar,
    attempt integer,
    app varchar,
    trace_id varchar,
    record_id varchar,
    attrs varchar,
    code varchar,
    cause varchar,
    incident_id bigint,
    request_id bigint,
    link_confidence varchar,
    link_evidence varchar,
    link_skew_ms bigint,
    is_inference boolean not null
);

create table server_sessions (
    session_id integer not null,
    source_id integer not null,
    host varchar,
    pid integer,
    version varchar,
    ts_start timestamptz,
    ts_end timestamptz,
    end_reason varchar not null,
    config map(varchar, varchar),
    devices varchar[],
    first_event_id bigint not null,
    last_event_id bigint not null
);

create table model_loads (
    load_seq bigint not null,
    session_id integer,
    source_id integer not null,
    ts_start timestamptz,
    ts_end timestamptz,
    duration_us bigint,
    model varchar,
    blob varchar,
    architecture varchar,
    parameters varchar,
    quantization varchar,
    num_ctx bigint,
    num_parallel integer,
    kv_cache_type varchar,
    flash_attention varchar,
    layers_total integer,
    layers_offloaded integer,
    weights_bytes bigint,
    kv_bytes bigint,
    graph_bytes bigint,
    required_bytes bigint,
    available_bytes bigint,
    outcome varchar not null,
    code varchar,
    runner_pid integer,
    runner_port integer,
    first_event_id bigint not null,
    last_event_id bigint not null,
    title varchar
);

create table load_buffers (
    load_seq bigint not null,
    event_id bigint not null,
    device varchar not null,
    purpose varchar not null,
    byte_count bigint not null,
    source varchar not null
);

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

create table rules (
    rule varchar primary key,
    code varchar not null,
    confidence varchar not null,
    severity varchar not null,
    literals varchar[] not null,
    pattern varchar not null,
    refs varchar[] not null,
    since varchar,
    until varchar,
    remedy varchar
);

create table causes (
    code varchar primary key,
    cause varchar not null,
    category varchar not null,
    title varchar not null,
    severity varchar not null,
    layer varchar not null,
    phase varchar not null,
    side varchar not null,
    retry varchar not null,
    error_class varchar not null,
    typical_status varchar,
    remedy varchar not null,
    see varchar
);

create table setting_defaults (
    name varchar not null,
    value varchar not null,
    since_version integer[],
    until_version integer[]
);
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
