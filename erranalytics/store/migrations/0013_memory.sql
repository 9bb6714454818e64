-- Out of memory, forensically: which buffers a load laid where, what a failure needed and what was free, and what
-- would have fitted.

create table load_buffers (
    load_seq bigint not null,
    event_id bigint not null,
    device varchar not null,
    purpose varchar not null,
    byte_count bigint not null,
    source varchar not null
);
comment on table load_buffers is
    'One row per buffer of a load: laid out by the scheduler or allocated by the runner; what is tried again counts '
    'as it came out last';
comment on column load_buffers.load_seq is 'The load, see model_loads';
comment on column load_buffers.event_id is 'Record that tells it';
comment on column load_buffers.device is
    'Device as the line names it: CUDA0, ROCm0, Metal, CPU, CPU_Mapped (a part of the file, shared with the page '
    'cache)';
comment on column load_buffers.purpose is 'weights, kv (key/value cache and recurrent state) or graph (compute)';
comment on column load_buffers.byte_count is 'Size, bytes';
comment on column load_buffers.source is 'runner (allocated) or layout (planned by the engine of Ollama)';

-- Go's durations, as OLLAMA_KEEP_ALIVE has them: 5m0s, 24h, bare seconds; below zero means for ever
-- (envconfig/config.go@v0.24.0).
create or replace macro go_seconds(told) as
    case
        when told is null then null
        when told like '-%' then 1e12
        when regexp_full_match(told, '[\d.]+') then cast(told as double)
        else coalesce(try_cast(nullif(regexp_extract(told, '([\d.]+)h', 1), '') as double), 0) * 3600 + coalesce(
            try_cast(nullif(regexp_extract(told, '([\d.]+)m(?:[^s]|$)', 1), '') as double),
            0
        ) * 60 + coalesce(try_cast(nullif(regexp_extract(told, '([\d.]+)s', 1), '') as double), 0)
    end;

create or replace macro sized(bytes) as
    case
        when bytes >= 1073741824 then printf('%.1f GiB', bytes / 1073741824.0)
        when bytes >= 1048576 then printf('%.1f MiB', bytes / 1048576.0)
        else printf('%.0f KiB', bytes / 1024.0)
    end;

-- Bits per weight of the types people publish, whole files of 7B models (llama.cpp, tools/quantize/README.md).
create or replace view quantizations as
select *
from (
    values ('F32', 32.0),
    ('BF16', 16.0), ('F16', 16.0), ('Q8_0', 8.5), ('Q6_K', 6.56), ('Q5_K_M', 5.68),
    ('Q5_K_S', 5.52), ('Q5_1', 5.97), ('Q5_0', 5.5), ('Q4_1', 5.0), ('Q4_K_M', 4.85),
    ('Q4_K_S', 4.58), ('Q4_0', 4.55), ('MXFP4', 4.25), ('IQ4_XS', 4.25), ('Q3_K_L', 4.27),
    ('Q3_K_M', 3.91), ('Q3_K_S', 3.5), ('Q2_K', 2.96)
) as told (quantization, bits_per_weight);
comment on view quantizations is 'Bits per weight of the quantizations of GGUF files';
comment on column quantizations.quantization is 'Type as the names of models have it';
comment on column quantizations.bits_per_weight is 'Bits per weight, whole file';

create or replace view memory_failures as
-- what the records of an incident tell; a bare number is a CUDA device
with said as (
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
        d.needed as told_needed, d.free as told_free, d.buffer,
        d.layers_offloaded as told_offloaded, d.layers_total as told_layers, d.num_ctx as told_ctx,
        d.is_cache
    from incidents as i
    inner join causes as c on c.code = i.code and c.category = 'memory'
    left join errors as r on r.event_id = i.root_event_id
    left join said as d on d.incident_id = i.incident_id
    left join server_sessions as s on s.session_id = i.session_id
),
-- the last load begun before the root record, or the one that an estimate announces; another model's load says nothing
loads_near as (
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
            and coalesce(l.layers_total = f.told_layers, true)
    qualify row_number() over (partition by f.incident_id order by l.load_seq desc) = 1
),
-- another load of the same file that tells its sizes
like_it as (
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
allocated as (
    select
        n.incident_id, b.device,
        sum(b.byte_count) as bytes,
        sum(b.byte_count) filter (where b.purpose = 'kv') as kv,
        sum(b.byte_count) filter (where b.purpose = 'weights') as weights
    from loads_near as n
    inner join incidents as i on i.incident_id = n.incident_id
    inner join load_buffers as b
        on b.load_seq = n.load_seq and b.source = 'runner' and b.event_id < i.root_event_id
    group by n.incident_id, b.device
),
-- what was free before the load allocated: its own reading of the device, else the last one where there is but one
-- device
readings as (
    select f.incident_id, g.free_bytes, g.device_id
    from failures as f
    inner join loads_near as n on n.incident_id = f.incident_id
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
        -- A buffer is compared with what was left on its device; what the scheduler wanted with what it saw free.
        coalesce(
            f.told_needed,
            case when p.free_bytes is not null then f.buffer end,
            case when n.is_asked then n.required_bytes end,
            f.buffer
        ) as needed,
        coalesce(
            f.told_free,
            case
                when p.free_bytes is not null then greatest(p.free_bytes - coalesce(a.bytes, 0), 0)
            end,
            case when n.is_asked then n.available_bytes end
        ) as free,
        coalesce(f.told_offloaded, n.layers_offloaded) as layers_offloaded,
        coalesce(f.told_layers, n.layers_total, k.one.layers_total) as layers_total,
        coalesce(f.told_ctx, n.num_ctx) as num_ctx,
        n.num_parallel,
        coalesce(n.kv_cache_type, k.one.kv_cache_type, 'f16') as kv_cache_type,
        n.flash_attention,
        regexp_replace(
            regexp_replace(coalesce(n.quantization, k.one.quantization), ' - Medium$', '_M'),
            ' - Small$',
            '_S'
        ) as quantization,
        n.parameters,
        -- Where a device failed, what the load has on that device counts.
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
        ) as told_kv,
        n.graph_bytes,
        k.one.kv / (k.one.num_ctx * greatest(coalesce(k.one.num_parallel, 1), 1)) as kv_per_token,
        -- What the scheduler wanted and neither weights nor graphs take is cache.
        case
            when f.cause in ('load_oom_system', 'load_oom_gpu')
                and needed > k.one.weights + coalesce(k.one.graph, 0)
                then needed - k.one.weights - coalesce(k.one.graph, 0)
        end as kv_left
    from failures as f
    left join loads_near as n on n.incident_id = f.incident_id
    left join like_it as k on k.blob = n.blob and (n.kv_bytes is null or n.weights_bytes is null)
    left join readings as p on p.incident_id = f.incident_id
    left join allocated as a
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
            told_kv,
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
    told_kv is null and kv_per_token is not null as is_inferred,
    coalesce(go_seconds(config['OLLAMA_KEEP_ALIVE']), 300) as keep_alive_s,
    request_count, remedy
from numbers;

comment on view memory_failures is
    'One row per incident of memory: what was needed where, what was free, and what the load was made of';
comment on column memory_failures.model is 'Model, else the digest of its file';
comment on column memory_failures.device is 'Device the log names, or host';
comment on column memory_failures.needed_bytes is
    'What was needed: the buffer that failed where the device told what was free, else what the scheduler wanted';
comment on column memory_failures.free_bytes is
    'What was free: on the device less what the load had taken already, or as the scheduler saw it';
comment on column memory_failures.missing_bytes is
    'needed_bytes less free_bytes where that is positive; NULL when the log does not tell';
comment on column memory_failures.weights_bytes is 'Weights of the load, else of another load of the same file';
comment on column memory_failures.kv_bytes is
    'Key/value cache of the load; else computed from another load of the same file, per token';
comment on column memory_failures.num_ctx is
    'Context per request, tokens; where only another load of the same file tells of its cache, what the cache that '
    'was wanted has room for';
comment on column memory_failures.kv_per_token is
    'Key/value cache of another load of the same file, bytes for each token';
comment on column memory_failures.load_seq is 'The load it broke, or that an estimate announces';
comment on column memory_failures.load_start is 'When that load began';
comment on column memory_failures.buffer_bytes is 'The buffer that could not be allocated, bytes';
comment on column memory_failures.is_device is
    'A device failed and told what it had free: the numbers are those of this device';
comment on column memory_failures.is_inferred is 'The cache is computed from another load of the same file';
comment on column memory_failures.keep_alive_s is
    'How long a model stays loaded without a request, seconds (OLLAMA_KEEP_ALIVE, five minutes when the log does '
    'not tell)';

create or replace view models_beside as
with others as (
    select
        m.incident_id, m.first_ts, m.keep_alive_s,
        coalesce(l.model, l.title, l.blob) as model,
        -- What a load has on the host makes no room on a device.
        cast(
            coalesce(l.required_bytes, l.weights_bytes + coalesce(l.kv_bytes, 0) + coalesce(l.graph_bytes, 0)) * case
                when m.device = 'host' or l.layers_total is null then 1
                else l.layers_offloaded / cast(nullif(l.layers_total, 0) as double)
            end as bigint
        ) as byte_count,
        l.load_seq,
        coalesce(l.ts_end, l.ts_start) as used_ts
    from memory_failures as m
    inner join model_loads as l
        on l.session_id = m.session_id
            and l.outcome = 'loaded'
            and l.last_event_id < coalesce(m.load_seq, m.root_event_id)
            and l.blob is distinct from m.blob
            and l.blob is not null
    qualify row_number() over (partition by m.incident_id, l.blob order by l.load_seq desc) = 1
)
select incident_id, model, byte_count, load_seq
from others
where epoch(first_ts) - epoch(used_ts) <= keep_alive_s;
comment on view models_beside is
    'Models that were loaded in the run and whose keep-alive had not passed when a memory failure began; a request '
    'in between may have kept others';
comment on column models_beside.model is 'Name, else title, else digest of its file';
comment on column models_beside.load_seq is 'Its last load, see model_loads';
comment on column models_beside.byte_count is 'What the model took when it was loaded, bytes';

create or replace view memory_changes as
with short as (
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
                        || ' a token, as another load of the file tells)'
                else ''
            end as cache,
        ' >= ' || sized(missing_bytes) || ' missing' as bound
    from memory_failures
    where missing_bytes > 0
),
found as (
    select
        incident_id, 1 as rank, 'num_parallel' as setting,
        cast(cast(floor(slots * (1 - kv_share)) as bigint) as varchar) as value,
        kv_bytes * (1 - floor(slots * (1 - kv_share)) / slots) as saved,
        cache || ' for ' || slots || ' requests at once, a share of it for each' as reason,
        bound
    from short
    where slots > 1 and floor(slots * (1 - kv_share)) >= 1
    union all
    select
        s.incident_id, 2, 'unload', b.model, b.byte_count,
        b.model || ' was loaded beside it with ' || sized(b.byte_count),
        s.bound
    from short as s
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
    from short as s
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
    from short
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
    from short
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
    from short as s
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
from found;
comment on view memory_changes is
    'Single changes that would have made a memory failure fit, computed from the numbers of the log; the lowest '
    'rank costs the answers least';
comment on column memory_changes.rank is
    'Order of preference: fewer requests at once, one model less, a smaller type of the cache, less context, fewer '
    'layers on the device, a smaller quantization';
comment on column memory_changes.setting is 'num_parallel, unload, kv_cache_type, num_ctx, num_gpu or quantization';
comment on column memory_changes.value is 'The largest value that fits';
comment on column memory_changes.saved_bytes is 'What the change saves, bytes; at least what was missing';
comment on column memory_changes.change is 'The change in words';
comment on column memory_changes.formula is 'How it is computed, with the numbers';
