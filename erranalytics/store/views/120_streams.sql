-- One row per stream, seen by the server, by a client or by both, with the end that either of them proves.
create or replace view streams as
select
    r.request_id, r.ts_start, r.ts_end, r.duration_us, r.status, r.method, r.path, r.endpoint,
    r.client_address,
    coalesce(r.model, c.model) as model,
    case
        when r.model is null and c.model is not null then 'client'
        else r.model_source
    end as model_source,
    r.outcome,
    coalesce(r.code, c.code) as code,
    r.session_id,
    coalesce(r.incident_id, c.incident_id) as incident_id,
    r.event_id, r.is_poll, r.is_inference, r.suspected_by,
    case
        when c.outcome is not null and c.outcome <> 'not_observable' then c.outcome
        when r.outcome in ('failed', 'failed_before_first_byte') then 'failed_before_first_byte'
        when r.outcome = 'cancelled_by_client' then 'cancelled_by_client'
        else 'not_observable'
    end as stream_outcome,
    r.suspected_by is not null
        and (c.outcome is null or c.outcome = 'not_observable') as is_suspected,
    c.call_id, c.client, c.first_chunk_ms, c.chunk_count,
    case when c.call_id is null then 'server' else 'both' end as seen_by
from requests as r
left join calls as c on c.request_id = r.request_id
where r.is_inference
  and r.surface = 'ollama'
  and r.endpoint not in ('/api/embed', '/api/embeddings', '/v1/embeddings')
  and coalesce(c.stream, true)
union all by name
select
    cast(null as bigint) as request_id,
    c.ts_start, c.ts_end,
    cast(round(c.duration_ms * 1000) as bigint) as duration_us,
    c.http_status as status, c.method, c.endpoint as path, c.endpoint,
    cast(null as varchar) as client_address,
    c.model,
    case when c.model is not null then 'client' end as model_source,
    c.outcome, c.code,
    cast(null as integer) as session_id,
    c.incident_id, c.event_id, false as is_poll, c.is_inference,
    cast(null as bigint) as suspected_by,
    c.outcome as stream_outcome, false as is_suspected, c.call_id, c.client, c.first_chunk_ms,
    c.chunk_count, 'client' as seen_by
from calls as c
where c.stream
  and c.is_inference
  and c.request_id is null
  and c.endpoint not in ('/api/embed', '/api/embeddings', '/v1/embeddings');
comment on view streams is
    'One row per stream: requests of routes that can stream and calls that did, joined where they are the same; '
    'without requests whose client recorded that they did not stream';
comment on column streams.stream_outcome is
    'completed, failed_before_first_byte, failed_mid_stream, truncated, cancelled_by_client or not_observable; the '
    'record of a client takes precedence';
comment on column streams.is_suspected is 'Logged as 200 while its runner died, and no client recorded how it ended';
comment on column streams.seen_by is 'server, client or both';
