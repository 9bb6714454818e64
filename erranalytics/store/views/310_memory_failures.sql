create or replace view memory_failures as
-- the facts in the records of an incident; a device that is only a number is a CUDA device
with incident_numbers as (
    select
        incident_id,
        max(regexp_replace(device, '^([0-9]+)$', 'CUDA\1')) as device,
        max(needed_bytes) as needed,
        max(free_bytes) as free,
        max(buffer_bytes) as buffer,
        max(layers_offloaded) as layers_offloaded,
        max(layers_total) as layers_total,
        max(num_ctx) as num_ctx,
        bool_or(cause = 'kv_cache_alloc_failed') as is_cache,
        bool_or(cause = 'cpu_alloc_failed') as is_host
    from errors
    where category = 'memory'
    group by incident_id
),
failures as (
    select
        i.*, c.layer, c.phase,
        coalesce(r.remedy, c.remedy) as remedy,
        s.host, s.version, s.config,
        coalesce(
            d.device,
            case when c.layer = 'os' or c.cause = 'load_oom_system' or d.is_host then 'host' end
        ) as device,
        d.needed as stated_needed, d.free as stated_free, d.buffer,
        d.layers_offloaded as stated_offloaded, d.layers_total as stated_layers, d.num_ctx as stated_ctx,
        d.is_cache
    from incidents as i
    inner join causes as c on c.code = i.code and c.category = 'memory'
    left join errors as r on r.event_id = i.root_event_id
    left join incident_numbers as d on d.incident_id = i.incident_id
    left join server_sessions as s on s.session_id = i.session_id
),
-- the last load before the root record, or the one that an estimate announces; the load of another model does not count
broken_loads as (
    select
        f.incident_id, l.*,
        ((f.phase = 'load' and l.outcome <> 'loaded') or f.cause = 'offload_partial')
            and (
                f.buffer is null
                or (
                    f.device is distinct from 'host'
                    and l.required_bytes > 0
                    and l.available_bytes > 0
                )
            ) as is_asked
    from failures as f
    inner join model_loads as l
        on l.source_id = f.source_id
            and l.session_id = f.session_id
            and l.first_event_id <= f.root_event_id + case
                when f.cause = 'offload_partial' then 20
                else 0
            end
            and (l.model is null or f.models[1] is null or l.model = any(f.models))
            and coalesce(l.layers_total = f.stated_layers, true)
    qualify row_number() over (partition by f.incident_id order by l.load_seq desc) = 1
),
-- another load of the same file whose sizes are in the log
sibling_loads as (
    select
        blob,
        arg_max(
            struct_pack(
                weights := weights_bytes,
                kv := kv_bytes,
                num_ctx := num_ctx,
                num_parallel := num_parallel,
                layers_total := layers_total,
                quantization := quantization,
                kv_cache_type := kv_cache_type,
                graph := graph_bytes
            ),
            load_seq
        ) as one
    from model_loads
    where kv_bytes > 0 and num_ctx > 0 and blob is not null
    group by blob
),
allocations as (
    select
        n.incident_id, b.device,
        sum(b.byte_count) as bytes,
        sum(b.byte_count) filter (where b.purpose = 'kv') as kv,
        sum(b.byte_count) filter (where b.purpose = 'weights') as weights
    from broken_loads as n
    inner join incidents as i on i.incident_id = n.incident_id
    inner join load_buffers as b
        on b.load_seq = n.load_seq and b.source = 'runner' and b.event_id < i.root_event_id
    group by n.incident_id, b.device
),
-- free memory before the load allocated any: its own reading of the device, else the last if there is only one device
free_readings as (
    select f.incident_id, g.free_bytes, g.device_id
    from failures as f
    inner join broken_loads as n on n.incident_id = f.incident_id
    inner join gpu_memory as g
        on g.session_id = f.session_id
            and g.event_id <= f.root_event_id
            and g.event_id > n.load_seq - 20
            and g.free_bytes is not null
            and g.device_id = case f.device when 'host' then 'cpu' else f.device end
    where f.buffer is not null
    qualify row_number() over (partition by f.incident_id order by g.event_id desc) = 1
),
numbers as (
    select
        f.*,
        coalesce(f.models[1], n.model, n.blob) as model_name,
        n.load_seq, n.blob, n.ts_start as load_start,
        -- A failed buffer is compared with what was left on its device, the scheduler's need with what it saw free.
        coalesce(
            f.stated_needed,
            case when p.free_bytes is not null then f.buffer end,
            case when n.is_asked then n.required_bytes end,
            f.buffer
        ) as needed,
        coalesce(
            f.stated_free,
            case
                when p.free_bytes is not null then greatest(p.free_bytes - coalesce(a.bytes, 0), 0)
            end,
            case when n.is_asked then n.available_bytes end
        ) as free,
        coalesce(f.stated_offloaded, n.layers_offloaded) as layers_offloaded,
        coalesce(f.stated_layers, n.layers_total, k.one.layers_total) as layers_total,
        coalesce(f.stated_ctx, n.num_ctx) as num_ctx,
        n.num_parallel,
        coalesce(n.kv_cache_type, k.one.kv_cache_type, 'f16') as kv_cache_type,
        n.flash_attention,
        regexp_replace(
            regexp_replace(coalesce(n.quantization, k.one.quantization), ' - Medium$', '_M'),
            ' - Small$',
            '_S'
        ) as quantization,
        n.parameters,
        -- If a device failed, only the part of the load on that device counts.
        case
            when p.free_bytes is not null then a.weights
            else coalesce(n.weights_bytes, k.one.weights)
        end as weights_bytes,
        p.free_bytes is not null as is_device,
        coalesce(
            case
                when p.free_bytes is not null
                    then coalesce(a.kv, case when f.is_cache then f.buffer end)
                else n.kv_bytes
            end,
            case when f.is_cache then f.buffer end
        ) as stated_kv,
        n.graph_bytes,
        k.one.kv / (k.one.num_ctx * greatest(coalesce(k.one.num_parallel, 1), 1)) as kv_per_token,
        -- The part of the scheduler's need that is neither weights nor graphs is cache.
        case
            when f.cause in ('load_oom_system', 'load_oom_gpu')
                and needed > k.one.weights + coalesce(k.one.graph, 0)
                then needed - k.one.weights - coalesce(k.one.graph, 0)
        end as kv_left
    from failures as f
    left join broken_loads as n on n.incident_id = f.incident_id
    left join sibling_loads as k on k.blob = n.blob and (n.kv_bytes is null or n.weights_bytes is null)
    left join free_readings as p on p.incident_id = f.incident_id
    left join allocations as a
        on a.incident_id = f.incident_id
            and a.device = case p.device_id when 'cpu' then 'CPU' else p.device_id end
)
select
    incident_id, root_event_id, source_id, session_id, host, version, first_ts, last_ts, code,
    cause, severity, layer, phase, models, model_name as model, device, load_seq, blob, load_start,
    cast(needed as bigint) as needed_bytes,
    cast(free as bigint) as free_bytes,
    cast(case when needed > free then needed - free end as bigint) as missing_bytes,
    layers_offloaded, layers_total, num_parallel, kv_cache_type, flash_attention, quantization,
    parameters, weights_bytes, graph_bytes, buffer as buffer_bytes, kv_per_token, is_device,
    cast(
        coalesce(
            stated_kv,
            kv_per_token * num_ctx * greatest(coalesce(num_parallel, 1), 1),
            kv_left
        ) as bigint
    ) as kv_bytes,
    cast(
        coalesce(
            num_ctx,
            floor(kv_left / kv_per_token / greatest(coalesce(num_parallel, 1), 1))
        ) as bigint
    ) as num_ctx,
    stated_kv is null and kv_per_token is not null as is_inferred,
    coalesce(go_seconds(config['OLLAMA_KEEP_ALIVE']), 300) as keep_alive_s,
    request_count, remedy
from numbers;
comment on view memory_failures is
    'One row per memory incident: what was needed where, what was free, and the parts of the load';
comment on column memory_failures.model is 'Model, else the digest of its file';
comment on column memory_failures.device is 'Device the log names, or host';
comment on column memory_failures.needed_bytes is
    'Needed: the buffer that failed where the free memory of its device is known, else the need of the scheduler';
comment on column memory_failures.free_bytes is
    'Free: on the device, less what the load had already taken, or as the scheduler saw it';
comment on column memory_failures.missing_bytes is
    'needed_bytes less free_bytes where that is positive; NULL when it is not known';
comment on column memory_failures.weights_bytes is 'Weights of the load, else of another load of the same file';
comment on column memory_failures.kv_bytes is
    'Key/value cache of the load; else computed from another load of the same file, per token';
comment on column memory_failures.num_ctx is
    'Context per request, tokens; where the size of the cache is known only from another load of the same file, '
    'the context that the wanted cache has room for';
comment on column memory_failures.kv_per_token is
    'Key/value cache of another load of the same file, bytes for each token';
comment on column memory_failures.load_seq is 'The load it broke, or that an estimate announces';
comment on column memory_failures.load_start is 'When that load began';
comment on column memory_failures.buffer_bytes is 'The buffer that could not be allocated, bytes';
comment on column memory_failures.is_device is
    'Whether a device failed whose free memory is known; then the numbers are those of this device';
comment on column memory_failures.is_inferred is 'Whether the cache is computed from another load of the same file';
comment on column memory_failures.keep_alive_s is
    'How long a model stays loaded without a request, seconds (OLLAMA_KEEP_ALIVE; five minutes when it is not '
    'logged)';
