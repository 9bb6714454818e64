-- Every form exactly once: sources that continue or overlap each other, tails that may still change, gaps.

alter table sources add column hosts varchar[];
alter table sources add column stream_id integer;
alter table sources add column is_dated boolean;
alter table sources add column resume_byte bigint;
alter table sources add column resume_session_id integer;
alter table sources add column resume_fallback_id integer;
update sources set
    stream_id = source_id,
    is_dated = coalesce((resume_state ->> '$.clock.is_dated') = 'true', false),
    resume_byte = byte_count,
    resume_session_id = (
        select max(s.session_id) from server_sessions as s where s.source_id = sources.source_id
    ),
    hosts = (
        select list_sort(list(distinct e.host) filter (where e.host is not null))
        from events as e
        where e.source_id = sources.source_id
    );
-- The parser of that version kept its state in another shape: what was ingested stays, only growth starts anew.
update sources set resume_state = null;
comment on column sources.hosts is
    'All hosts its records name; records of one host are counted once, however they arrive';
comment on column sources.stream_id is
    'Sources that were found to continue or overlap each other share one; the smallest of their source_id';
comment on column sources.is_dated is 'Whether its lines tell a date: a few lines without one are no identity';
comment on column sources.resume_byte is
    'Where reading goes on when the source has grown: the start of its last record, which more bytes may still '
    'change; 0 for small sources, which are read again';
comment on column sources.resume_session_id is 'Run of the server at resume_byte';
comment on column sources.resume_fallback_id is
    'Run of the server before that one, for a second server that finds the port taken';
comment on column sources.wrapper is
    'What stands around the lines of Ollama, see docs/formats.md; layers are joined by +';
comment on column sources.compression is 'Compression found: none, gzip, zstd, xz, bzip2';
comment on column sources.resume_state is 'State of the parser at resume_byte, JSON; NULL when it begins anew';

comment on column loads.duplicate_count is
    'Lines whose record was already in the store from another source, and lines that gave way to a fuller copy later';
comment on column events.line_no is
    'Physical line number of its first line in the source, from 1; 0 and less: it began in the file before';
comment on column templates.code is 'Code of its events, the first of several';
comment on column rejects.reason is
    'blank, incomplete (the last line has no end yet: it is read again when the file has grown)';
comment on column events.line_count is 'Physical lines of the record; 0 for a second record on one line';
comment on column events.ts_source is
    'Which clock: slog, gin+offset, go-log, json, journal, docker, stamp, dump, inherited, file, none';
comment on column events.host is 'Label given with --host, else the host named by the wrapper';

create table gaps (
    gap_id integer not null,
    source_id integer not null,
    host varchar,
    unit varchar,
    from_ts timestamptz not null,
    to_ts timestamptz not null,
    reason varchar not null
);
comment on table gaps is 'Stretches of time whose records were gone before they could be read';
comment on column gaps.gap_id is 'Number of the gap';
comment on column gaps.source_id is 'The source whose first record comes after the gap';
comment on column gaps.host is 'Host of the records';
comment on column gaps.unit is 'systemd unit';
comment on column gaps.from_ts is 'Last record before the gap, UTC';
comment on column gaps.to_ts is 'First record after the gap, UTC';
comment on column gaps.reason is 'vacuumed: the journal had dropped them';

-- What an access line alone proves; a 200 proves nothing for a route that streams or reports progress.
create macro outcome_of(status, endpoint) as
    case
        when status = 499 then 'cancelled_by_client'
        when status >= 400
            and endpoint in (
                '/api/generate', '/api/chat', '/v1/chat/completions', '/v1/completions',
                '/v1/responses', '/v1/messages'
            )
            then 'failed_before_first_byte'
        when status >= 400 then 'failed'
        when endpoint in (
            '/api/generate', '/api/chat', '/v1/chat/completions', '/v1/completions',
            '/v1/responses', '/v1/messages', '/api/pull', '/api/push', '/api/create'
        )
            then 'not_observable'
        else 'completed'
    end;
