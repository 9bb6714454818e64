-- What the tables and their columns hold. Comments are kept with the views, so that a store gets new ones without a
-- change of its tables.

comment on table meta is 'Facts about this store: schema version, salt, program that made it';
comment on column meta.key is 'Name of the fact';
comment on column meta.value is 'Value of the fact, as text';

comment on table sources is 'One row per input, identified by its content';
comment on column sources.source_id is 'Number of the source, in order of first ingest';
comment on column sources.uri is 'Path as it was given when lines were last added, or - for standard input';
comment on column sources.wrapper is
    'Wrappers around the lines of Ollama, see docs/formats.md; outer ones first, joined by +';
comment on column sources.host is 'Host named by the wrapper or by --host; NULL when neither is known';
comment on column sources.unit is 'systemd unit or syslog identifier named by the wrapper';
comment on column sources.encoding is 'Text encoding found: utf-8, utf-8-sig, utf-16-le, utf-16-be';
comment on column sources.compression is 'Compression found: none, gzip, zstd, xz, bzip2';
comment on column sources.first_ts is 'Earliest event time, UTC';
comment on column sources.last_ts is 'Latest event time, UTC';
comment on column sources.byte_count is 'Bytes ingested so far, after decompression';
comment on column sources.line_count is 'Physical lines ingested so far';
comment on column sources.head_digest is 'SHA-256 of the first 4096 bytes, to find candidates';
comment on column sources.content_digest is 'SHA-256 of the first byte_count bytes, to prove identity';
comment on column sources.resume_state is 'State of the parser at resume_byte, JSON; NULL when it starts from nothing';
comment on column sources.hosts is
    'All hosts its records name; records of one host are counted once, however they arrive';
comment on column sources.stream_id is
    'Sources that were found to continue or overlap each other share one; the smallest of their source_id';
comment on column sources.is_dated is 'Whether its lines have dates: a few lines without one do not identify a log';
comment on column sources.resume_byte is
    'Where reading goes on when the source has grown: the start of its last record, which more bytes may still '
    'change; 0 for small sources, which are read again';
comment on column sources.resume_session_id is 'Session of the server at resume_byte';
comment on column sources.resume_fallback_id is
    'Session before that one, for a second server that finds the port taken';

comment on table loads is 'One row per ingest of one source, written last in the transaction of the load';
comment on column loads.load_id is 'Number of the load';
comment on column loads.source_id is 'The source that was read';
comment on column loads.started_at is 'When the load began, UTC';
comment on column loads.finished_at is 'When its rows were complete, UTC';
comment on column loads.byte_start is 'Offset in the source at which this load began';
comment on column loads.byte_count is 'Bytes read by this load, after decompression';
comment on column loads.line_count is 'Physical lines read by this load';
comment on column loads.event_count is 'Events stored by this load';
comment on column loads.duplicate_count is
    'Lines whose record was already in the store from another source, and lines that gave way to a fuller copy later';
comment on column loads.reject_count is 'Lines that could not be an event, see rejects';
comment on column loads.version is 'Version of erranalytics';
comment on column loads.rulebook_hash is 'SHA-256 of the rulebook used';
comment on column loads.formats_hash is 'SHA-256 of the line formats used';

comment on table rejects is 'Lines that could not be an event, with the reason';
comment on column rejects.load_id is 'The load that met the line';
comment on column rejects.source_id is 'The source that holds the line';
comment on column rejects.line_no is 'Physical line number in the source, from 1';
comment on column rejects.line_count is 'Number of physical lines that this row counts';
comment on column rejects.reason is
    'blank, incomplete (the last line has no end yet: it is read again when the file has grown)';
comment on column rejects.sample is 'First 80 printable characters, secrets replaced';

comment on table gaps is 'Stretches of time whose records were gone before they could be read';
comment on column gaps.gap_id is 'Number of the gap';
comment on column gaps.source_id is 'The source whose first record comes after the gap';
comment on column gaps.host is 'Host of the records';
comment on column gaps.unit is 'systemd unit';
comment on column gaps.from_ts is 'Last record before the gap, UTC';
comment on column gaps.to_ts is 'First record after the gap, UTC';
comment on column gaps.reason is 'vacuumed: the journal had dropped them';

comment on table events is 'One row per log record; the lines of a panic, a CUDA block or a loader dump are one record';
comment on column events.event_id is 'Number of the event; grows with the line number inside a source';
comment on column events.source_id is 'The source that holds the record';
comment on column events.load_id is 'The load that stored it';
comment on column events.line_no is
    'Physical line number of its first line in the source, from 1; 0 and less: it began in the file before';
comment on column events.line_count is 'Physical lines of the record; 0 for a second record on one line';
comment on column events.ts is 'Time of the record, UTC';
comment on column events.ts_source is
    'Which clock: slog, gin+offset, go-log, json, client, gateway, journal, docker, stamp, dump, inherited, file, none';
comment on column events.host is 'Label given with --host, else the host named by the wrapper';
comment on column events.unit is 'Syslog identifier or unit named by the wrapper';
comment on column events.pid is 'Process id named by the wrapper';
comment on column events.format is 'Line format, see docs/formats.md; unknown and foreign when none fits';
comment on column events.level is 'Level as Ollama wrote it; never decides whether this is an error';
comment on column events.component is 'Source file of a slog line, function of a runner line';
comment on column events.message is
    'Message without stamps; an access line of Ollama as STATUS METHOD PATH, of a gateway as METHOD PATH STATUS (its '
    'numbers are in requests)';
comment on column events.attrs is
    'Attributes of a slog line as a JSON object of strings; other lines of a folded record under "lines"';
comment on column events.code is 'Code of the cause, NULL when the record is not a known problem or notice';
comment on column events.cause is 'Slug of the cause';
comment on column events.template_id is 'Template of the message';
comment on column events.session_id is 'Session of the server that this record belongs to';
comment on column events.incident_id is 'Incident this record is an echo of';

comment on table templates is 'One row per message template: the message with its variable parts masked';
comment on column templates.template_id is 'Number of the template';
comment on column templates.template is 'Masked message';
comment on column templates.fingerprint is 'Stable hash of format and template';
comment on column templates.format is 'Line format';
comment on column templates.code is 'Code of its events, the first of several';
comment on column templates.first_ts is 'First sighting, UTC';
comment on column templates.last_ts is 'Last sighting, UTC';
comment on column templates.event_count is 'Events with this template';
comment on column templates.first_version is 'Ollama version of the first sighting';
comment on column templates.last_version is 'Ollama version of the last sighting';

comment on table errors is 'One row per classified problem of severity warning or worse';
comment on column errors.error_id is 'Number of the error';
comment on column errors.ts is 'Time, UTC';
comment on column errors.surface is 'server, access, client or gateway: where the text was seen';
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
comment on column errors.model is
    'Model it is about, as the text or the call names it; the default registry is cut off';
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
comment on column errors.session_id is 'Session of the server';
comment on column errors.source_id is 'Source it was read from';
comment on column errors.host is 'Host named by the wrapper';
comment on column errors.captures is
    'Everything the rule and the facts took from the text, JSON object of strings; the typed columns are made of it';
comment on column errors.device is 'Device it happened on, as the log names it: CUDA0, ROCm0, a number';
comment on column errors.needed_bytes is 'What the whole request needs of the memory that is short, bytes';
comment on column errors.free_bytes is 'What was free of it, bytes';
comment on column errors.missing_bytes is 'What was missing: as the log says it, else needed less free; bytes';
comment on column errors.buffer_bytes is 'Size of the one allocation that was refused, bytes';
comment on column errors.layers_offloaded is 'Layers that went to a GPU';
comment on column errors.layers_total is 'Layers of the model';
comment on column errors.num_ctx is 'Context length that was set or asked for, tokens';
comment on column errors.num_ctx_train is 'Context length the model was trained with, tokens';
comment on column errors.prompt_tokens is 'Length of the prompt, tokens';
comment on column errors.process_pid is 'Process it is about';
comment on column errors.exit_code is 'Exit status of that process; Windows statuses as unsigned numbers';
comment on column errors.signal is 'Signal that ended the process, as the log names it: killed, aborted, KILL, SIGSEGV';
comment on column errors.server_address is 'Host that was called or listened on, without its port';
comment on column errors.server_port is 'Port that was called or listened on';
comment on column errors.retry_after_s is 'Pause before the next attempt that the answer asks for, seconds';
comment on column errors.option is 'Option or field of the request it is about';
comment on column errors.restart_count is 'How often the service manager has restarted the server by then';
comment on column errors.wrapping is
    'What was around the innermost text, names of erranalytics/classification/innermost.toml; NULL when there was '
    'nothing';
comment on column errors.remedy is
    'What to do, with the numbers of this problem put in; NULL when its rule has no such sentence, see causes';
comment on column errors.ratelimit_limit is 'Requests or tokens allowed in a period, as the answer says';
comment on column errors.ratelimit_remaining is 'How many of them are left';
comment on column errors.ratelimit_reset is 'When the period ends, as it was sent: seconds, a time or a duration';
comment on column errors.maintenance_until is 'End of a maintenance that was announced, as it was sent';
comment on column errors.upstream_request_id is 'Name the server or gateway gave the request';

comment on table incidents is 'One row per failure, however many lines echo it';
comment on column incidents.incident_id is 'Number of the incident';
comment on column incidents.first_ts is 'Time of its first record, UTC';
comment on column incidents.last_ts is 'Time of its last record, UTC';
comment on column incidents.code is 'Code of the root cause';
comment on column incidents.cause is 'Slug of the root cause';
comment on column incidents.severity is
    'Worst severity among its records; info when the server recovered by itself before a request was lost';
comment on column incidents.root_event_id is 'The record that names the cause';
comment on column incidents.error_count is 'Records that echo it';
comment on column incidents.request_count is
    'Requests it took with it; one that a gateway and Ollama wrote down counts once';
comment on column incidents.call_count is 'Client calls it took with it';
comment on column incidents.models is 'Models named by its records, sorted';
comment on column incidents.sides is
    'server, client, gateway or both (server or gateway, and client): where it was seen';
comment on column incidents.session_id is 'Session of the server';
comment on column incidents.source_id is 'Source it was read from';
comment on column incidents.confidence is 'Confidence of the root';
comment on column incidents.restart_count is 'How often the server was started again in it';
comment on column incidents.recovered_event_id is
    'The runner that was ready after the server had tried again by itself: no request was lost, and the incident is '
    'of severity info; NULL else';

comment on table requests is
    'One row per access line of Ollama, or of a gateway about one of its routes; count one surface at a time';
comment on column requests.request_id is 'Number of the request';
comment on column requests.ts_start is 'End minus duration, UTC; NULL where the line of a gateway has no duration';
comment on column requests.ts_end is 'Time of the access line, UTC, whole seconds';
comment on column requests.duration_us is 'Latency of the access line, microseconds; whole seconds above one minute';
comment on column requests.status is 'HTTP status that was sent; 200 does not prove success';
comment on column requests.method is 'HTTP method';
comment on column requests.path is 'Path without query; of a gateway as the client sent it';
comment on column requests.endpoint is 'Path with model names and digests cut to the route, /other for unknown routes';
comment on column requests.client_address is 'Client address as Ollama or the gateway saw it';
comment on column requests.model is 'Model of the request where the log names it';
comment on column requests.model_source is
    'How the model is known: body_file (dump of the request), slog (the scheduler names it at the end of the '
    'request), message (an error of the request names it), single_loaded (the only model that was ever loaded in the '
    'run)';
comment on column requests.outcome is
    'completed, failed, failed_before_first_byte, failed_mid_stream (a gateway reports it), cancelled_by_client, '
    'not_observable';
comment on column requests.code is 'Code of the cause when it failed';
comment on column requests.session_id is 'Session of the server';
comment on column requests.incident_id is 'Incident that took the request with it';
comment on column requests.event_id is 'The access line in events';
comment on column requests.is_poll is 'A heartbeat: /, /api/version, /api/tags, /api/ps';
comment on column requests.is_inference is 'generate, chat, embed and the /v1 routes of the definitions';
comment on column requests.suspected_by is
    'Event of the runner death that makes this 200 suspect; NULL when nothing does';
comment on column requests.surface is
    'ollama, or gateway: who wrote the line; a request that both wrote down has two rows';
comment on column requests.upstream is 'Address a gateway handed the request to, where its log names it';
comment on column requests.upstream_request_id is 'Name a gateway gave the request, where its log names it';
comment on column requests.answered_by is
    'Access line of Ollama of the same request, on the line of a gateway; NULL when none was found';
comment on column requests.explained_by is 'Event in which the gateway says why it ended so, on the line of a gateway';
comment on column requests.asked_by is
    'Call of a client that this line of a gateway answered, where Ollama has no line of it; else see calls.request_id';

comment on table calls is 'One row per call a client recorded; see docs/client-records.md';
comment on column calls.call_id is 'Number of the call';
comment on column calls.event_id is 'The record in events';
comment on column calls.source_id is 'Source it was read from';
comment on column calls.load_id is 'Load that stored it';
comment on column calls.host is 'Host the wrapper of the record names, or --host';
comment on column calls.mapping is 'Shape it was recorded in, see erranalytics/mappings';
comment on column calls.ts_start is 'Start by the clock of the client, UTC';
comment on column calls.ts_end is 'End by the clock of the client, UTC';
comment on column calls.duration_ms is 'How long it took, milliseconds';
comment on column calls.client is 'Library and version that called';
comment on column calls.endpoint is 'Path of the URL';
comment on column calls.url_host is 'Host and port of the URL';
comment on column calls.method is 'HTTP method';
comment on column calls.model is 'Model that was asked for';
comment on column calls.stream is 'Whether a stream was asked for';
comment on column calls.http_status is 'HTTP status, see status_source; NULL when none came';
comment on column calls.status_source is 'wire, sdk_synthetic, sentinel, inferred or none';
comment on column calls.outcome is
    'completed, failed, failed_before_first_byte, failed_mid_stream, truncated, cancelled_by_client, not_observable';
comment on column calls.first_chunk_ms is 'From the start to the first byte of the answer, milliseconds';
comment on column calls.chunk_count is 'Pieces of the stream';
comment on column calls.last_chunk_gap_ms is 'From the last byte to the end, milliseconds';
comment on column calls.done_seen is 'Whether the mark of the end was seen: done:true, [DONE] or message_stop';
comment on column calls.error_type is 'Class of the exception';
comment on column calls.error_message is 'Text of the exception or of the error object';
comment on column calls.error_body is 'Body of the error, what speaks of the error only';
comment on column calls.retry_after_s is 'Pause the answer asked for, seconds';
comment on column calls.ratelimit_limit is 'Calls allowed in a period';
comment on column calls.ratelimit_remaining is 'Calls left of them';
comment on column calls.ratelimit_reset is 'When the period ends, as it was sent';
comment on column calls.maintenance_until is 'End of a maintenance that was announced, UTC';
comment on column calls.upstream_request_id is 'Name the server or gateway gave the call';
comment on column calls.attempt is 'Which attempt it was, 1 for the first';
comment on column calls.app is 'Program that called';
comment on column calls.trace_id is 'Trace the call belongs to';
comment on column calls.record_id is 'Name the program gave the call';
comment on column calls.attrs is 'Further fields of the record, JSON object';
comment on column calls.code is 'Code of the cause when it failed';
comment on column calls.cause is 'Slug of the cause';
comment on column calls.incident_id is 'Incident it belongs to';
comment on column calls.request_id is 'Its access line, when that was found; one call, one line';
comment on column calls.link_confidence is 'certain or likely; NULL without request_id';
comment on column calls.link_evidence is
    'Why that line: differences of end and duration, status, how many others came near';
comment on column calls.link_skew_ms is
    'What the clock of the client was ahead of that of the server, milliseconds, as estimated';
comment on column calls.is_inference is 'generate, chat, embed and the /v1 routes of the definitions';

comment on table server_sessions is
    'One row per server start seen in a source, and one for the records before the first start';
comment on column server_sessions.session_id is 'Number of the session';
comment on column server_sessions.source_id is 'Source it was read from';
comment on column server_sessions.host is 'Host named by the wrapper';
comment on column server_sessions.pid is 'Process id of the server where the wrapper names it';
comment on column server_sessions.version is 'Ollama version from the Listening on line';
comment on column server_sessions.ts_start is 'Start, UTC; NULL when the start is not in the log';
comment on column server_sessions.ts_end is 'Last record, UTC';
comment on column server_sessions.end_reason is
    'stopped, crashed, oom_killed, restarted (followed by another session), running (systemd logs ends and logged none '
    'until the last record), unknown';
comment on column server_sessions.config is 'Environment from the server config line';
comment on column server_sessions.devices is
    'Devices from the inference compute lines, else the names that the runner or the search for libraries gives';
comment on column server_sessions.first_event_id is 'First record of the session';
comment on column server_sessions.last_event_id is 'Last record of the session';

comment on table model_loads is 'One row per attempt to load a model';
comment on column model_loads.load_seq is
    'Number of the attempt: the event that starts the runner, or that says why none was started';
comment on column model_loads.session_id is 'Session of the server';
comment on column model_loads.source_id is 'Source it was read from';
comment on column model_loads.ts_start is 'When the runner was started, UTC';
comment on column model_loads.ts_end is 'When it was ready or gave up, UTC';
comment on column model_loads.duration_us is
    'End minus start, microseconds; NULL when no runner was started or the end is not in the log';
comment on column model_loads.model is
    'Name the model is asked for by, where the log has it (OLLAMA_DEBUG, MLX); else NULL, see blob and title';
comment on column model_loads.blob is 'First digits of the digest of the model file: sha256- and twelve of them';
comment on column model_loads.architecture is 'Architecture of the model';
comment on column model_loads.parameters is 'Parameter count as the loader prints it';
comment on column model_loads.quantization is 'Quantization as the loader prints it';
comment on column model_loads.num_ctx is 'Context per request, tokens';
comment on column model_loads.num_parallel is 'Parallel requests';
comment on column model_loads.kv_cache_type is 'Type of the key/value cache, as asked for or as the runner logs it';
comment on column model_loads.flash_attention is 'on, off or auto: what the runner decided, else what was asked for';
comment on column model_loads.layers_total is 'Layers of the model, the output layer included';
comment on column model_loads.layers_offloaded is 'Layers on a GPU';
comment on column model_loads.weights_bytes is
    'Sum of the weight buffers, bytes; where no runner logs them, as the scheduler laid them out or estimated them';
comment on column model_loads.kv_bytes is
    'Sum of the buffers of the key/value cache and of recurrent state, bytes; else as laid out or estimated';
comment on column model_loads.graph_bytes is 'Sum of the compute buffers, bytes; else as laid out or estimated';
comment on column model_loads.required_bytes is
    'What the log says was needed, bytes: of a refusal, the estimate, the layout or the projection';
comment on column model_loads.available_bytes is
    'What the log says was free for it, bytes, on all devices together; of the host where there is none';
comment on column model_loads.outcome is 'loaded, failed, oom or unknown';
comment on column model_loads.code is
    'Code of the cause when it failed: the first fault of memory, else the first fault';
comment on column model_loads.runner_pid is 'Process id of the runner where the log names it';
comment on column model_loads.runner_port is 'Port of the runner';
comment on column model_loads.first_event_id is 'The record that starts the runner';
comment on column model_loads.last_event_id is 'The record that ends the attempt';
comment on column model_loads.title is
    'Name that the model file gives itself (general.name); not the name it is asked for by';

comment on table load_buffers is
    'One row per buffer of a load: laid out by the scheduler or allocated by the runner; what is tried again counts '
    'as it came out last';
comment on column load_buffers.load_seq is 'The load, see model_loads';
comment on column load_buffers.event_id is 'Record it was read from';
comment on column load_buffers.device is
    'Device as the line names it: CUDA0, ROCm0, Metal, CPU, CPU_Mapped (a part of the file, shared with the page '
    'cache)';
comment on column load_buffers.purpose is 'weights, kv (key/value cache and recurrent state) or graph (compute)';
comment on column load_buffers.byte_count is 'Size, bytes';
comment on column load_buffers.source is 'runner (allocated) or layout (planned by the engine of Ollama)';

comment on table gpu_memory is 'One row per reading of the memory of a device';
comment on column gpu_memory.event_id is
    'The record it was read from; the list of devices of a runner is one record for several';
comment on column gpu_memory.source_id is 'Source it was read from';
comment on column gpu_memory.session_id is 'Session of the server';
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

comment on table rules is 'The rulebook the store was last written with';
comment on column rules.rule is 'family/name';
comment on column rules.code is 'Code it gives';
comment on column rules.confidence is 'certain, likely or guess';
comment on column rules.severity is 'Severity it gives';
comment on column rules.literals is 'Texts of which a line must hold one';
comment on column rules.pattern is 'Regular expression';
comment on column rules.refs is 'Pinned references';
comment on column rules.since is 'First version of Ollama that writes this text; NULL when it is not known';
comment on column rules.until is
    'Last version of Ollama that writes this text; NULL when it still does or it is not known';
comment on column rules.remedy is
    'What to do for this text, {facts} to be put in; NULL when the remedy of the cause applies';

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

comment on table setting_defaults is
    'Values that the server prints for settings nobody has set, as real logs show them; an empty value, 0 and false '
    'are defaults of whatever is not named here';
comment on column setting_defaults.name is 'Name of the setting';
comment on column setting_defaults.value is 'Value it has by default';
comment on column setting_defaults.since_version is
    'First version with this default; NULL when all earlier ones have it';
comment on column setting_defaults.until_version is 'Last version with this default; NULL when all later ones have it';
