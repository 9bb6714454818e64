create or replace view asked as
select
    r.ts_end, r.session_id, s.host, s.version,
    coalesce(r.model, c.model) as model,
    r.endpoint, r.client_address, c.client,
    coalesce(r.code, c.code) as code,
    case
        when r.outcome in ('not_observable', 'completed') and c.outcome <> 'not_observable'
            then c.outcome
        else r.outcome
    end as outcome,
    case when c.call_id is null then 'server' else 'both' end as seen_by
from requests as r
left join calls as c on c.request_id = r.request_id
left join server_sessions as s on s.session_id = r.session_id
where r.is_inference and r.surface = 'ollama'
union all by name
select
    ts_end,
    cast(null as integer) as session_id,
    host,
    cast(null as varchar) as version,
    model, endpoint,
    cast(null as varchar) as client_address,
    client, code, outcome, 'client' as seen_by
from calls
where is_inference and request_id is null;
comment on view asked is
    'One row per inference request: access lines of Ollama, and calls without one; a request that both server and '
    'client recorded is one row';
comment on column asked.model is 'Model, as the server or the client names it';
comment on column asked.version is 'Version of Ollama that answered; NULL when its start is not in the log';
comment on column asked.outcome is
    'The outcome that the access line or the client proves: completed, failed, failed_before_first_byte, '
    'failed_mid_stream, truncated, cancelled_by_client, not_observable';
comment on column asked.seen_by is 'server, client or both';
