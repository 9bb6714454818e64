-- The first schema. Times are TIMESTAMPTZ in UTC, durations *_us, sizes *_bytes, counts *_count.

create table meta (
    key varchar primary key,
    value varchar not null
);
comment on table meta is 'Facts about this store: schema version, salt, program that made it';
comment on column meta.key is 'Name of the fact';
comment on column meta.value is 'Value of the fact, as text';

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
    resume_state varchar
);
comment on table sources is 'One row per input, identified by its content';
comment on column sources.source_id is 'Number of the source, in order of first ingest';
comment on column sources.uri is 'Path as it was given when lines were last added, or - for standard input';
comment on column sources.wrapper is
    'What wraps the lines of Ollama: journald-short, journald-short-iso, journald-short-precise, journald-json, plain';
comment on column sources.host is 'Host named by the wrapper or by --host; NULL when neither is known';
comment on column sources.unit is 'systemd unit or syslog identifier named by the wrapper';
comment on column sources.encoding is 'Text encoding found: utf-8, utf-8-sig, utf-16-le, utf-16-be';
comment on column sources.compression is 'Compression found: none, gzip';
comment on column sources.first_ts is 'Earliest event time, UTC';
comment on column sources.last_ts is 'Latest event time, UTC';
comment on column sources.byte_count is 'Bytes ingested so far, after decompression';
comment on column sources.line_count is 'Physical lines ingested so far';
comment on column sources.head_digest is 'SHA-256 of the first 4096 bytes, to find candidates';
comment on column sources.content_digest is 'SHA-256 of the first byte_count bytes, to prove identity';
comment on column sources.resume_state is
    'State of the parser after the last ingested byte, JSON, so that a grown file continues';

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
comment on table loads is 'One row per ingest of one source, written last in the transaction of the load';
comment on column loads.load_id is 'Number of the load';
comment on column loads.source_id is 'The source that was read';
comment on column loads.started_at is 'When the load began, UTC';
comment on column loads.finished_at is 'When its rows were complete, UTC';
comment on column loads.byte_start is 'Offset in the source at which this load began';
comment on column loads.byte_count is 'Bytes read by this load, after decompression';
comment on column loads.line_count is 'Physical lines read by this load';
comment on column loads.event_count is 'Events stored by this load';
comment on column loads.duplicate_count is 'Lines that were already in the store and were not stored again';
comment on column loads.reject_count is 'Lines that could not be an event, see rejects';
comment on column loads.version is 'Version of erranalytics';
comment on column loads.rulebook_hash is 'SHA-256 of the rulebook used';
comment on column loads.formats_hash is 'SHA-256 of the line formats used';

create table rejects (
    load_id integer not null,
    source_id integer not null,
    line_no bigint not null,
    line_count integer not null,
    reason varchar not null,
    sample varchar
);
comment on table rejects is 'Lines that could not be an event, with the reason';
comment on column rejects.load_id is 'The load that met the line';
comment on column rejects.source_id is 'The source that holds the line';
comment on column rejects.line_no is 'Physical line number in the source, from 1';
comment on column rejects.line_count is 'How many physical lines this row stands for';
comment on column rejects.reason is 'blank, binary or bad-json';
comment on column rejects.sample is 'First 80 printable characters, secrets replaced';

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
comment on table events is 'One row per log record; the lines of a panic, a CUDA block or a loader dump are one record';
comment on column events.event_id is 'Number of the event; grows with the line number inside a source';
comment on column events.source_id is 'The source that holds the record';
comment on column events.load_id is 'The load that stored it';
comment on column events.line_no is 'First physical line of the record, from 1';
comment on column events.line_count is 'Physical lines of the record';
comment on column events.ts is 'Time of the record, UTC';
comment on column events.ts_source is 'Which clock: slog, gin+offset, go-log, journal, inherited, file, none';
comment on column events.host is 'Host named by the wrapper';
comment on column events.unit is 'Syslog identifier or unit named by the wrapper';
comment on column events.pid is 'Process id named by the wrapper';
comment on column events.format is 'Line format, see erranalytics/formats; unknown and foreign when none fits';
comment on column events.level is 'Level as Ollama wrote it; never decides whether this is an error';
comment on column events.component is 'Source file of a slog line, function of a runner line';
comment on column events.message is
    'Message without stamps; an access line as STATUS METHOD PATH (its numbers stand in requests)';
comment on column events.attrs is
    'Attributes of a slog line as a JSON object of strings; other lines of a folded record under "lines"';
comment on column events.code is 'Code of the cause, NULL when the record is not a known problem or notice';
comment on column events.cause is 'Slug of the cause';
comment on column events.template_id is 'Template of the message';
comment on column events.session_id is 'Run of the server this record belongs to';
comment on column events.incident_id is 'Incident this record is an echo of';

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
    suspected_by bigint
);
comment on table requests is 'One row per access line of Ollama';
comment on column requests.request_id is 'Number of the request';
comment on column requests.ts_start is 'End minus duration, UTC';
comment on column requests.ts_end is 'Time of the access line, UTC, whole seconds';
comment on column requests.duration_us is 'Latency of the access line, microseconds; whole seconds above one minute';
comment on column requests.status is 'HTTP status that was sent; 200 does not prove success';
comment on column requests.method is 'HTTP method';
comment on column requests.path is 'Path without query';
comment on column requests.endpoint is 'Path with model names and digests cut to the route, /other for unknown routes';
comment on column requests.client_address is 'Client address as Ollama saw it';
comment on column requests.model is 'Model of the request where the log names it';
comment on column requests.model_source is 'How the model is known';
comment on column requests.outcome is
    'completed, failed, failed_before_first_byte, cancelled_by_client, not_observable';
comment on column requests.code is 'Code of the cause when it failed';
comment on column requests.session_id is 'Run of the server';
comment on column requests.incident_id is 'Incident that took the request with it';
comment on column requests.event_id is 'The access line in events';
comment on column requests.is_poll is 'A heartbeat: /, /api/version, /api/tags, /api/ps';
comment on column requests.is_inference is 'generate, chat, embed and the /v1 routes of the definitions';
comment on column requests.suspected_by is
    'Event of the runner death that makes this 200 suspect; NULL when nothing does';

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
    captures varchar
);
comment on table errors is 'One row per classified problem of severity warning or worse';
comment on column errors.error_id is 'Number of the error';
comment on column errors.ts is 'Time, UTC';
comment on column errors.surface is 'server, access or client: where the text was seen';
comment on column errors.code is 'Code of the cause';
comment on column errors.cause is 'Slug of the cause';
comment on column errors.category is 'Category of the cause';
comment on column errors.severity is 'warning, error or critical, from the rule and not from the level';
comment on column errors.layer is 'Where it broke: client, gateway, server, scheduler, runner, gpu, os, registry';
comment on column errors.phase is 'When: connect, request, queue, load, prompt, generate, embed, pull, ...';
comment on column errors.side is 'Who can mend it: caller, operator, upstream, nobody';
comment on column errors.retry is 'immediate, backoff, after_change, never';
comment on column errors.error_class is 'Name of the google.rpc code';
comment on column errors.http_status is 'HTTP status where one is known';
comment on column errors.status_source is 'access_line, wire, inferred, sentinel, sdk_synthetic or none';
comment on column errors.model is 'Model where it is known';
comment on column errors.model_source is 'How the model is known';
comment on column errors.endpoint is 'Route of the request where it is known';
comment on column errors.message is 'Innermost error text';
comment on column errors.exception_type is 'Class of the exception in a client record';
comment on column errors.fingerprint is 'Stable hash of the masked text';
comment on column errors.confidence is 'certain, likely or guess';
comment on column errors.rule is 'Rule that decided';
comment on column errors.event_id is 'Record it was found in';
comment on column errors.request_id is 'Access line, when the record is one';
comment on column errors.call_id is 'Client call, when the record is one';
comment on column errors.incident_id is 'Incident it belongs to';
comment on column errors.session_id is 'Run of the server';
comment on column errors.source_id is 'Source it was read from';
comment on column errors.host is 'Host named by the wrapper';
comment on column errors.captures is 'Named values the rule took from the text, JSON object of strings';

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
    confidence varchar not null
);
comment on table incidents is 'One row per failure, however many lines echo it';
comment on column incidents.incident_id is 'Number of the incident';
comment on column incidents.first_ts is 'Time of its first record, UTC';
comment on column incidents.last_ts is 'Time of its last record, UTC';
comment on column incidents.code is 'Code of the root cause';
comment on column incidents.cause is 'Slug of the root cause';
comment on column incidents.severity is 'Worst severity among its records';
comment on column incidents.root_event_id is 'The record that names the cause';
comment on column incidents.error_count is 'Records that echo it';
comment on column incidents.request_count is 'Requests it took with it, access lines';
comment on column incidents.call_count is 'Client calls it took with it';
comment on column incidents.models is 'Models named by its records, sorted';
comment on column incidents.sides is 'server, client or both: where it was seen';
comment on column incidents.session_id is 'Run of the server';
comment on column incidents.source_id is 'Source it was read from';
comment on column incidents.confidence is 'Confidence of the root';

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
comment on table server_sessions is
    'One row per server start seen in a source, and one for what stands before the first start';
comment on column server_sessions.session_id is 'Number of the session';
comment on column server_sessions.source_id is 'Source it was read from';
comment on column server_sessions.host is 'Host named by the wrapper';
comment on column server_sessions.pid is 'Process id of the server where the wrapper names it';
comment on column server_sessions.version is 'Ollama version from the Listening on line';
comment on column server_sessions.ts_start is 'Start, UTC; NULL when the start is not in the log';
comment on column server_sessions.ts_end is 'Last record, UTC';
comment on column server_sessions.end_reason is 'stopped, crashed, oom_killed, restarted, running or unknown';
comment on column server_sessions.config is 'Environment from the server config line';
comment on column server_sessions.devices is 'Devices from the inference compute lines';
comment on column server_sessions.first_event_id is 'First record of the session';
comment on column server_sessions.last_event_id is 'Last record of the session';

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
    last_event_id bigint not null
);
comment on table model_loads is 'One row per attempt to load a model';
comment on column model_loads.load_seq is 'Number of the attempt: the event that starts the runner';
comment on column model_loads.session_id is 'Run of the server';
comment on column model_loads.source_id is 'Source it was read from';
comment on column model_loads.ts_start is 'When the runner was started, UTC';
comment on column model_loads.ts_end is 'When it was ready or gave up, UTC';
comment on column model_loads.duration_us is 'End minus start, microseconds';
comment on column model_loads.model is 'Model name where the log names it';
comment on column model_loads.blob is 'Digest of the model file, sha256-…';
comment on column model_loads.architecture is 'Architecture of the model';
comment on column model_loads.parameters is 'Parameter count as the loader prints it';
comment on column model_loads.quantization is 'Quantization as the loader prints it';
comment on column model_loads.num_ctx is 'Context per request, tokens';
comment on column model_loads.num_parallel is 'Parallel requests';
comment on column model_loads.kv_cache_type is 'Type of the key/value cache';
comment on column model_loads.flash_attention is 'Flash attention as the log names it';
comment on column model_loads.layers_total is 'Layers of the model';
comment on column model_loads.layers_offloaded is 'Layers on a GPU';
comment on column model_loads.weights_bytes is 'Sum of the weight buffers, bytes';
comment on column model_loads.kv_bytes is 'Sum of the key/value buffers, bytes';
comment on column model_loads.graph_bytes is 'Sum of the compute buffers, bytes';
comment on column model_loads.required_bytes is 'What the log says was needed, bytes';
comment on column model_loads.available_bytes is 'What the log says was free, bytes';
comment on column model_loads.outcome is 'loaded, failed, oom or unknown';
comment on column model_loads.code is 'Code of the cause when it failed';
comment on column model_loads.runner_pid is 'Process id of the runner where the log names it';
comment on column model_loads.runner_port is 'Port of the runner';
comment on column model_loads.first_event_id is 'The record that starts the runner';
comment on column model_loads.last_event_id is 'The record that ends the attempt';

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
comment on table templates is 'One row per message template: the message with its variable parts masked';
comment on column templates.template_id is 'Number of the template';
comment on column templates.template is 'Masked message';
comment on column templates.fingerprint is 'Stable hash of format and template';
comment on column templates.format is 'Line format';
comment on column templates.code is 'Code of its events, the most frequent one';
comment on column templates.first_ts is 'First sighting, UTC';
comment on column templates.last_ts is 'Last sighting, UTC';
comment on column templates.event_count is 'Events with this template';
comment on column templates.first_version is 'Ollama version of the first sighting';
comment on column templates.last_version is 'Ollama version of the last sighting';

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
comment on table causes is 'The taxonomy the store was written with';
comment on column causes.code is 'Code, for ever';
comment on column causes.cause is 'Slug';
comment on column causes.category is 'Category';
comment on column causes.title is 'What happened, one sentence';
comment on column causes.severity is 'info, warning, error or critical';
comment on column causes.layer is 'Where it breaks';
comment on column causes.phase is 'When it breaks';
comment on column causes.side is 'Who can mend it';
comment on column causes.retry is 'Whether the same call may be tried again';
comment on column causes.error_class is 'Name of the google.rpc code';
comment on column causes.typical_status is 'HTTP statuses it comes with';
comment on column causes.remedy is 'What to do';
comment on column causes.see is 'Pinned source';

create table rules (
    rule varchar primary key,
    code varchar not null,
    confidence varchar not null,
    severity varchar not null,
    literals varchar[] not null,
    pattern varchar not null,
    refs varchar[] not null
);
comment on table rules is 'The rulebook the store was last written with';
comment on column rules.rule is 'family/name';
comment on column rules.code is 'Code it gives';
comment on column rules.confidence is 'certain, likely or guess';
comment on column rules.severity is 'Severity it gives';
comment on column rules.literals is 'Texts of which a line must hold one';
comment on column rules.pattern is 'Regular expression';
comment on column rules.refs is 'Pinned references';

create view findings as
select e.*, c.title, c.remedy, c.typical_status, c.see
from errors as e
left join causes as c on c.code = e.code;
comment on view findings is 'errors joined with title and remedy of their cause';

create view streams as
select
    r.*,
    case
        when r.outcome in ('failed', 'failed_before_first_byte') then 'failed_before_first_byte'
        when r.outcome = 'cancelled_by_client' then 'cancelled_by_client'
        else 'not_observable'
    end as stream_outcome,
    r.suspected_by is not null as is_suspected
from requests as r
where r.is_inference and r.endpoint not in ('/api/embed', '/api/embeddings', '/v1/embeddings');
comment on view streams is 'Requests of routes that can stream, with what the server log proves of the stream';

create view timeline as
select
    ts_start as ts, 'session' as kind, session_id,
    'Ollama ' || coalesce(version, '?') || ' started' as what,
    first_event_id as event_id
from server_sessions
where ts_start is not null
union all
select ts_end, 'session', session_id, 'Ollama ended: ' || end_reason, last_event_id
from server_sessions
where end_reason not in ('running', 'unknown')
union all
select ts_start, 'load', session_id, coalesce(model, blob, '?') || ': ' || outcome, first_event_id
from model_loads
union all
select first_ts, 'incident', session_id, code || ' ' || cause, root_event_id
from incidents
order by ts, event_id;
comment on view timeline is 'Sessions, model loads and incidents in order of time';

comment on column streams.stream_outcome is 'failed_before_first_byte, cancelled_by_client or not_observable';
comment on column streams.is_suspected is 'A 200 over the death of a runner';
comment on column timeline.kind is 'session, load or incident';
comment on column timeline.what is 'One sentence';

create macro size_bytes(size_text) as
    cast(
        try_cast(regexp_extract(size_text, '([\d.]+)', 1) as double) * case regexp_extract(size_text, '([KMGT])', 1)
            when 'K' then 1024
            when 'M' then 1048576
            when 'G' then 1073741824
            when 'T' then 1099511627776
            else 1
        end as bigint
    );
