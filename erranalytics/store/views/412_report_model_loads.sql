-- The rows of the report model-loads: which models were loaded, how long did it take, how much memory did they want,
-- and which loads failed?
create or replace macro report_model_loads(
    period_start, period_end, of_host, of_model, of_code, of_outcome, at_most
) as table
with chosen_loads as (
    select l.*, s.version, s.host
    from model_loads as l
    left join server_sessions as s on s.session_id = l.session_id
    where in_period(l.ts_start, period_start, period_end)
      and matches(s.host, of_host)
      and (of_model is null or of_model in (l.model, l.title, l.blob))
      and matches(l.code, of_code)
      and matches(l.outcome, of_outcome)
    order by l.ts_start desc nulls last, l.load_seq desc
    limit at_most
),
waiting_requests as (
    select l.load_seq, count(*) as n
    from chosen_loads as l
    inner join requests as r
        on r.session_id = l.session_id
            and r.event_id > l.last_event_id
            and r.ts_start <= l.ts_start
            and r.duration_us >= l.duration_us
    where r.is_inference
      and r.surface = 'ollama'
      and (r.model is null or l.model is null or r.model in (l.model, l.blob))
    group by l.load_seq
)
select
    l.ts_start as ts,
    coalesce(l.model, l.title, l.blob) as model,
    l.version, l.host, l.duration_us, l.num_ctx, l.num_parallel, l.kv_cache_type,
    coalesce(cast(l.layers_offloaded as varchar), '?') || '/' || l.layers_total as layers,
    l.weights_bytes, l.kv_bytes, l.graph_bytes, l.required_bytes, l.available_bytes, l.outcome,
    l.code, c.title as cause,
    coalesce(w.n, 0) as waiting_count,
    l.session_id, l.load_seq as event_id
from chosen_loads as l
left join causes as c on c.code = l.code
left join waiting_requests as w on w.load_seq = l.load_seq;
