-- The rows of the report oom-incidents: what did not fit where, by how much, and what would have fitted?
create or replace macro report_oom_incidents(period_start, period_end, of_host, of_model, of_code) as table
with chosen_failures as (
    select *
    from memory_failures
    where in_period(first_ts, period_start, period_end)
      and matches(host, of_host)
      and one_matches(models, of_model)
      and matches(code, of_code)
),
best_changes as (
    select incident_id, arg_min(change, rank) as change
    from memory_changes
    group by incident_id
),
neighbours as (
    select
        incident_id,
        string_agg(
            model || coalesce(' (' || sized(byte_count) || ')', ''),
            ', ' order by load_seq
        ) as models
    from models_beside
    group by incident_id
)
select
    c.first_ts, c.code, c.model, c.device, c.needed_bytes, c.free_bytes, c.missing_bytes,
    case
        when c.layers_total > 0 then coalesce(c.layers_offloaded, 0) || '/' || c.layers_total
    end as layers,
    c.num_ctx, c.num_parallel, c.kv_cache_type, b.models as models_beside, c.request_count,
    f.change as would_fit_with,
    case
        when c.needed_bytes is null and c.free_bytes is null then 'missing: needed, free'
        when c.needed_bytes is null then 'missing: needed'
        when c.free_bytes is null then 'missing: free'
        when c.missing_bytes is null
            then 'the log shows enough free: other users, fragments, or several devices'
        when f.change is null and c.kv_bytes is null and c.weights_bytes is null
            then 'missing: the sizes of weights and KV cache'
        when f.change is null then 'no single change of what the log has would have fitted'
    end as note,
    c.remedy, c.incident_id
from chosen_failures as c
left join best_changes as f on f.incident_id = c.incident_id
left join neighbours as b on b.incident_id = c.incident_id;
