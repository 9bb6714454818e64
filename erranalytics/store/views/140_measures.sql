create or replace view measures as
-- a call and the line nearest to the model that is the same request
with asked as (
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
lines as (
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
    left join asked as c on c.line_id = r.request_id
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
    from asked as c
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
from lines;
comment on view measures is
    'One row per request and place where it was timed: access line of Ollama, of a gateway, record of a client; '
    'without polls';
comment on column measures.surface is 'ollama, gateway or client: whose clock';
comment on column measures.duration_us is 'How long it took there, microseconds; NULL where it was not told';
comment on column measures.outcome is 'What a client proved, else what the line tells';
comment on column measures.fate is
    'answered (completed, or a 200 that nothing speaks against), suspected (a 200 over the death of a runner), '
    'failed, cancelled';
comment on column measures.is_nearest is
    'The place nearest to the model that saw it: of all rows with this each request has one';
