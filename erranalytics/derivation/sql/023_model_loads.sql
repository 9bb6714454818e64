-- The rows of attempts: how each ended, its sizes, and the facts of load_facts.toml.
--
-- reads: causes, events, load_ends, load_facts, load_lines, load_records, load_refusals, load_sizes
-- writes: model_loads

insert into model_loads by name
with attempts as (
    select e.load_seq, s.blob, e.end_id, e.code, case when e.is_loaded then 'loaded' when e.is_oom then 'oom'
        when e.end_id is not null then 'failed' else 'unknown' end as outcome
    from load_ends as e
    inner join load_lines as s on s.event_id = e.load_seq
    where e.load_seq >= getvariable('since_id')
    union all
    select r.load_seq, r.blob, null, r.code, case when c.category = 'memory' then 'oom' else 'failed' end
    from load_refusals as r
    left join causes as c using (code)
),
runners as (
    select load_seq, arg_max(pid, event_id) as pid from load_records where format like 'cpp-%' group by load_seq
)
select
    a.load_seq, s.session_id, s.source_id, s.ts as ts_start, coalesce(t.ts, case when a.outcome <> 'unknown'
        then s.ts end) as ts_end,
    epoch_us(t.ts) - epoch_us(s.ts) as duration_us,
    regexp_replace(f.model, '^registry\.ollama\.ai/(?:library/)?', '') as model,
    coalesce(a.blob, 'sha256-' || f.file_digest) as blob, f.architecture, f.parameters, f.quantization, f.title,
    coalesce(f.cmd_ctx, f.layout_ctx, f.runner_ctx)::bigint // greatest(coalesce(f.cmd_parallel, f.layout_parallel,
        f.runner_parallel, '1')::bigint, 1) as num_ctx,
    coalesce(f.cmd_parallel, f.layout_parallel, f.runner_parallel)::integer as num_parallel,
    coalesce(f.cmd_kv_type, f.layout_kv_type, f.cache_kv_type) as kv_cache_type,
    coalesce(f.final_flash, f.cmd_flash, case lower(coalesce(f.layout_flash, f.runner_flash)) when 'true' then 'on'
        when 'enabled' then 'on' when '1' then 'on' when 'false' then 'off' when 'disabled' then 'off' when '0'
        then 'off' when 'auto' then 'auto' end) as flash_attention,
    coalesce(f.runner_layers, f.engine_layers, f.estimated_layers, (f.file_blocks::integer + 1)::varchar)::integer
        as layers_total,
    coalesce(f.runner_offloaded, f.layout_offloaded, f.estimated_offloaded)::integer as layers_offloaded,
    z.weights_bytes, z.kv_bytes, z.graph_bytes,
    size_bytes(coalesce(f.refused_need, f.estimated_need, f.laid_out_need, f.projected_need)) as required_bytes,
    coalesce(
        size_bytes(f.refused_free),
        list_sum(list_transform(regexp_extract_all(f.estimated_free, '[\d.]+ [KMGT]?i?B|^\d+$'),
            lambda one: size_bytes(one)))::bigint,
        z.free_bytes, size_bytes(coalesce(f.projected_free, f.system_free))
    ) as available_bytes,
    a.outcome, case when a.outcome <> 'loaded' then a.code end as code,
    case when p.pid <> coalesce(s.pid, -1) then p.pid end as runner_pid,
    coalesce(f.cmd_port, f.stated_port)::integer as runner_port,
    a.load_seq as first_event_id, coalesce(a.end_id, a.load_seq) as last_event_id
from attempts as a
inner join load_lines as s on s.event_id = a.load_seq
left join load_facts as f using (load_seq)
left join load_sizes as z using (load_seq)
left join runners as p using (load_seq)
left join events as t on t.event_id = a.end_id;
