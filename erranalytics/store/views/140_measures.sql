create or replace view measures as
-- each call, with the access line of the same request that is nearest to the model
with client_calls as (
    select
        c.*,
        coalesce(c.request_id, g.request_id) as line_id,
        c.request_id is null and g.request_id is null as is_alone
    from calls as c
    left join (
        select asked_by as call_id, min(request_id) as request_id
        from requests
        where asked_by is not null
        group by asked_by
    ) as g
        on g.call_id = c.call_id
),
timings as (
    select
        r.request_id, c.call_id, r.surface, r.ts_start, r.ts_end, r.duration_us, r.endpoint,
        coalesce(r.model, c.model) as model,
        s.version, r.status,
        coalesce(c.client, r.client_address) as client,
        case
            when c.outcome is not null and c.outcome <> 'not_observable' then c.outcome
            else r.outcome
        end as outcome,
        r.suspected_by is not null
            and coalesce(c.outcome, 'not_observable') = 'not_observable' as is_suspected,
        coalesce(r.code, c.code) as code,
        c.first_chunk_ms, c.attempt, r.session_id,
        coalesce(s.host, c.host) as host,
        r.event_id,
        coalesce(r.incident_id, c.incident_id) as incident_id,
        r.is_inference,
        r.surface = 'ollama' or r.answered_by is null as is_nearest
    from requests as r
    left join client_calls as c on c.line_id = r.request_id
    left join server_sessions as s on s.session_id = r.session_id
    where not r.is_poll
    union all
    select
        c.request_id, c.call_id, 'client', c.ts_start, c.ts_end,
        cast(round(c.duration_ms * 1000) as bigint),
        c.endpoint,
        coalesce(c.model, r.model),
        s.version, c.http_status, c.client, c.outcome, false,
        coalesce(c.code, r.code),
        c.first_chunk_ms, c.attempt, r.session_id,
        coalesce(c.host, s.host),
        c.event_id,
        coalesce(c.incident_id, r.incident_id),
        c.is_inference, c.is_alone
    from client_calls as c
    left join requests as r on r.request_id = c.line_id
    left join server_sessions as s on s.session_id = r.session_id
)
select
    *,
    case
        when outcome = 'cancelled_by_client' then 'cancelled'
        when outcome in ('failed', 'failed_before_first_byte', 'failed_mid_stream', 'truncated')
            then 'failed'
        when is_suspected then 'suspected'
        else 'answered'
    end as fate
from timings;
comment on view measures is
    'One row per request and place where it was timed: an access line of Ollama or of a gateway, or the record of a '
    'client; without polls';
comment on column measures.surface is 'Whose clock it is: ollama, gateway or client';
comment on column measures.duration_us is 'How long it took there, microseconds; NULL where it was not logged';
comment on column measures.outcome is 'The outcome a client recorded, else that of the access line';
comment on column measures.fate is
    'answered (completed, or a 200 without evidence against it), suspected (a 200 while its runner died), '
    'failed, cancelled';
comment on column measures.is_nearest is
    'Whether no other place that saw the request is nearer to the model; true for one row of each request';
