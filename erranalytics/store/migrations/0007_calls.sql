-- What clients recorded of their calls, and which access line each of them is.
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
comment on table calls is 'One row per call a client recorded; see docs/calls.md';
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
