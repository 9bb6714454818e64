create or replace view runs as
select *, lead(ts_start) over (partition by stream_id order by ts_end, session_id) as next_ts
from (
    select
        s.session_id, s.host, s.version, s.ts_start, s.ts_end, s.end_reason, s.config, s.devices,
        s.first_event_id, s.last_event_id, f.stream_id
    from server_sessions as s
    inner join sources as f on f.source_id = s.source_id
    where s.ts_start is not null
      or s.session_id in (select session_id from requests where surface = 'ollama')
      or s.session_id in (select session_id from model_loads)
      or s.session_id in (select session_id from errors where surface = 'server')
) as servers;
comment on view runs is
    'server_sessions of servers only, without parts of a log written only by clients or gateways';
comment on column runs.stream_id is 'Log it was read from, the same for all pieces of that log';
comment on column runs.next_ts is 'Start of the run after it in the same log';
