create or replace view memory_changes as
with shortfalls as (
    select
        *,
        greatest(coalesce(num_parallel, 1), 1) as slots,
        missing_bytes / cast(nullif(kv_bytes, 0) as double) as kv_share,
        (weights_bytes + coalesce(kv_bytes, 0)) / cast(
            nullif(case when is_device then layers_offloaded else layers_total end, 0) as double
        ) as layer_bytes,
        sized(kv_bytes)
            || ' of KV cache'
            || case
                when is_inferred
                    then ' ('
                        || sized(kv_per_token)
                        || ' a token, as another load of the file shows)'
                else ''
            end as cache,
        ' >= ' || sized(missing_bytes) || ' missing' as bound
    from memory_failures
    where missing_bytes > 0
),
changes as (
    select
        incident_id, 1 as rank, 'num_parallel' as setting,
        cast(cast(floor(slots * (1 - kv_share)) as bigint) as varchar) as value,
        kv_bytes * (1 - floor(slots * (1 - kv_share)) / slots) as saved,
        cache || ' for ' || slots || ' requests at once, a share of it for each' as reason,
        bound
    from shortfalls
    where slots > 1 and floor(slots * (1 - kv_share)) >= 1
    union all
    select
        s.incident_id, 2, 'unload', b.model, b.byte_count,
        b.model || ' was loaded beside it with ' || sized(b.byte_count),
        s.bound
    from shortfalls as s
    inner join models_beside as b
        on b.incident_id = s.incident_id and b.byte_count >= s.missing_bytes
    qualify row_number() over (partition by s.incident_id order by b.byte_count, b.model) = 1
    union all
    -- A block of 32 values takes 64 bytes as f16, 34 as q8_0, 18 as q4_0 (llama.cpp, ggml/src/ggml-common.h).
    select
        s.incident_id, 3, 'kv_cache_type', t.name,
        s.kv_bytes * (1 - t.bytes / f.bytes),
        s.cache
            || ' as '
            || f.name
            || ', '
            || t.bytes
            || ' of '
            || f.bytes
            || ' bytes a block as '
            || t.name,
        s.bound
    from shortfalls as s
    inner join (
        values ('f32', 128),
        ('f16', 64), ('bf16', 64), ('q8_0', 34), ('q4_0', 18)
    ) as f (name, bytes)
        on f.name = s.kv_cache_type
    inner join (values ('q8_0', 34), ('q4_0', 18)) as t (name, bytes)
        on t.bytes < f.bytes and s.kv_bytes * (1 - t.bytes / f.bytes) >= s.missing_bytes
    qualify row_number() over (partition by s.incident_id order by t.bytes desc) = 1
    union all
    select
        incident_id, 4, 'num_ctx',
        cast(cast(floor(num_ctx * (1 - kv_share) / 256) * 256 as bigint) as varchar),
        kv_bytes * (1 - floor(num_ctx * (1 - kv_share) / 256) * 256 / num_ctx),
        cache
            || ' for '
            || num_ctx
            || ' tokens'
            || case when slots > 1 then ' times ' || slots else '' end
            || ', as much for each token',
        bound
    from shortfalls
    where num_ctx * (1 - kv_share) >= 1024
    union all
    select
        incident_id, 5, 'num_gpu',
        cast(cast(layers_offloaded - ceil(missing_bytes / layer_bytes) as bigint) as varchar),
        ceil(missing_bytes / layer_bytes) * layer_bytes,
        sized(layer_bytes)
            || ' of weights and KV cache for each layer, '
            || layers_offloaded
            || ' of '
            || layers_total
            || ' layers on the device',
        bound
    from shortfalls
    where device <> 'host'
      and cause <> 'offload_partial'
      and layers_offloaded > 0
      and layers_offloaded - ceil(missing_bytes / layer_bytes) >= 0
    union all
    select
        s.incident_id, 6, 'quantization', t.quantization,
        s.weights_bytes * (1 - t.bits_per_weight / f.bits_per_weight),
        sized(s.weights_bytes)
            || ' of weights at '
            || f.bits_per_weight
            || ' bits as '
            || f.quantization
            || ', '
            || t.bits_per_weight
            || ' bits as '
            || t.quantization,
        s.bound
    from shortfalls as s
    inner join quantizations as f on f.quantization = s.quantization
    inner join quantizations as t
        on t.bits_per_weight < f.bits_per_weight
            and s.weights_bytes * (1 - t.bits_per_weight / f.bits_per_weight) >= s.missing_bytes
    where t.quantization in ('F16', 'Q8_0', 'Q6_K', 'Q5_K_M', 'Q4_K_M', 'Q3_K_M', 'Q2_K')
    qualify row_number() over (partition by s.incident_id order by t.bits_per_weight desc) = 1
)
select
    incident_id, rank, setting, value,
    cast(saved as bigint) as saved_bytes,
    case setting
        when 'num_parallel' then 'OLLAMA_NUM_PARALLEL=' || value
        when 'unload' then 'unload ' || value || ' first (ollama stop)'
        when 'kv_cache_type'
            then 'OLLAMA_KV_CACHE_TYPE=' || value || ' with OLLAMA_FLASH_ATTENTION=1'
        when 'num_ctx' then 'num_ctx ' || value
        when 'num_gpu' then 'num_gpu ' || value
        else 'the model as ' || value
    end as change,
    reason || ': saves ' || sized(cast(saved as bigint)) || bound as formula
from changes;
comment on view memory_changes is
    'Single changes that would have prevented a memory failure, computed from the numbers in the log; the lowest '
    'rank affects the answers least';
comment on column memory_changes.rank is
    'Order of preference: fewer requests at once, one model fewer, a smaller type of the cache, less context, fewer '
    'layers on the device, a smaller quantization';
comment on column memory_changes.setting is 'num_parallel, unload, kv_cache_type, num_ctx, num_gpu or quantization';
comment on column memory_changes.value is 'The largest value that fits';
comment on column memory_changes.saved_bytes is 'Bytes that the change saves; at least the missing ones';
comment on column memory_changes.change is 'The change in words';
comment on column memory_changes.formula is 'How it is computed, with the numbers';
