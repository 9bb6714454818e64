-- The facts of each attempt: its records until it ends, and what the scheduler estimated between the attempt before and
-- its start.
--
-- reads: causes, events, load_ends, load_lines, load_refusals, load_windows, model_loads, scope
-- makes: load_records, one row per record of an attempt
-- makes: load_lasts, one row per size that counts, with its device
-- makes: load_sizes, one row per attempt: bytes by purpose
-- makes: load_facts, one row per attempt: all other facts, as text
-- writes: load_buffers, model_loads

create or replace temp table load_records as
with attempts as (
    select load_seq, session_id, coalesce(end_id, load_seq) as last_id from load_ends
    union all
    select load_seq, session_id, load_seq as last_id from load_refusals
    union all
    select max(load_seq), session_id, max(last_event_id) from model_loads
        where session_id in (select session_id from scope) group by session_id
),
bounded as (
    select load_seq, session_id, lag(last_id, 1, 0) over (partition by session_id order by load_seq) as before_id
        from attempts
),
inside as (
    select w.event_id, w.load_seq, w.kind, w.component, w.message, w.attrs, w.pid, w.format
    from load_windows as w
    inner join load_ends as e using (load_seq)
    where w.event_id <= coalesce(e.end_id, w.event_id) or w.event_id = w.load_seq
),
before as (
    select w.event_id, a.load_seq, w.kind, w.component, w.message, w.attrs, w.pid, w.format
    from bounded as a
    inner join load_windows as w on w.session_id = a.session_id and w.event_id < a.load_seq
        and w.event_id >= a.load_seq - 20
    where w.kind in ('estimate', 'free', 'facts') and w.event_id > a.before_id
),
told as (
    select * from inside
    union all
    select * from before
    union all
    select w.event_id, r.load_seq, w.kind, w.component, w.message, w.attrs, w.pid, w.format
    from load_refusals as r
    inner join load_windows as w on w.event_id = r.load_seq
)
select
    *,
    -- Ollama's engine lays a model out several times, and llama-server tries several times: the last one counts.
    count(*) filter (where kind = 'pass') over so_far as pass_no,
    count(*) filter (where kind = 'sizes' and message = 'total memory')
        over so_far - (kind = 'sizes' and message = 'total memory')::integer as layout_no,
    message || coalesce(chr(10) || (attrs ->> '$.lines'), '') as text
from told
window so_far as (partition by load_seq order by event_id rows between unbounded preceding and current row);

-- Sizes, each from the line that is nearest to the truth: buffers of the runner, sums of the runners of 2023 (llama.cpp
-- b1180: "MB" of 1024 KB), the layout of Ollama's engine, the estimate of the scheduler.
create or replace temp table load_lasts as
with parsed as (
    select
        load_seq, event_id, pass_no, component,
        case
            when regexp_matches(message, '(?:KV|RS) buffer size =') then 'kv'
            when contains(message, 'compute buffer size =') then 'graph'
            when contains(message, 'model buffer size =')
                or (regexp_matches(message, '^\s*\S+ +buffer size =') and component like '%load_tensors') then 'weights'
        end as what,
        regexp_extract(message, '^\s*(\S+) ', 1) as device,
        regexp_extract(message, 'buffer size += *(.*)$', 1) as size_text, 1 as place
    from load_records
    where kind = 'buffers' and contains(message, 'buffer size =')
    union all
    select
        load_seq, event_id, 0, null,
        case when regexp_matches(message, 'mem required|VRAM used') then 'weights' when contains(message, 'total size')
            then 'graph' when contains(lower(message), 'kv self size') then 'kv' end,
        case when contains(message, 'VRAM used') then 'VRAM' end,
        regexp_extract(message, '(?:mem required|VRAM used|self size|total size)\s*[:=]\s*([\d.]+ \w+)', 1), 2
    from load_records
    where kind = 'buffers' and not contains(message, 'buffer size =')
    union all
    select
        load_seq, event_id, layout_no, null,
        case message when 'model weights' then 'weights' when 'kv cache' then 'kv' when 'compute graph' then 'graph'
            when 'gpu memory' then 'free' end,
        coalesce(attrs ->> '$.device', attrs ->> '$.buffer', attrs ->> '$.buffer_type', attrs ->> '$.id', ''),
        case message when 'gpu memory' then attrs ->> '$.available' else attrs ->> '$.size' end, 3
    from load_records
    where kind in ('sizes', 'free')
    union all
    select
        load_seq, event_id, 0, null, unnest(['weights', 'kv', 'graph']), '',
        unnest([attrs ->> '$."memory.weights.total"', coalesce(attrs ->> '$."memory.required.kv"', attrs ->> '$.kv'),
            coalesce(attrs ->> '$."memory.graph.full"', attrs ->> '$.fulloffload')]), 4
    from load_records
    where kind = 'estimate'
)
select * from parsed
where what is not null and size_text <> ''
-- What is laid out or tried again counts once, with its last value. The cache of a model with a window is two caches on
-- one device, and both count.
qualify (what = 'free' or pass_no = max(pass_no) over (partition by load_seq, place, what = 'free', case when place = 1
    then what end))
    and (
        (place = 1 and what <> 'graph')
        or event_id = max(event_id) over (partition by load_seq, place, what, component, device)
    );

create or replace temp table load_sizes as
with sums as (
    select load_seq, what, place, sum(size_bytes(size_text))::bigint as bytes, bool_or(place = 1
        and device like '%$_Mapped' escape '$') as is_mapped
    from load_lasts
    group by load_seq, what, place
),
ranked as (
    select
        load_seq, what, bytes,
        -- A part of the file that is mapped for the host may overlap what the devices hold: then a layout is more
        -- exact.
        case when is_mapped and bytes > 1.1 * min(bytes) over (partition by load_seq, what) then 6
            else place end as place
    from sums
    where bytes is not null
)
select
    load_seq,
    arg_min(bytes, place) filter (where what = 'weights') as weights_bytes,
    arg_min(bytes, place) filter (where what = 'kv') as kv_bytes,
    arg_min(bytes, place) filter (where what = 'graph') as graph_bytes,
    arg_min(bytes, place) filter (where what = 'free') as free_bytes
from ranked
group by load_seq;

insert into load_buffers by name
select load_seq, event_id, device, what as purpose, size_bytes(size_text) as byte_count, case place when 3
    then 'layout' else 'runner' end as source
from load_lasts
where what <> 'free' and place in (1, 3) and device <> '' and size_bytes(size_text) > 0
    and load_seq in (select load_seq from load_ends where load_seq >= getvariable('since_id') union all select load_seq
        from load_refusals)
order by load_seq, event_id;

create or replace temp table load_facts as
select
    load_seq,
    any_value(nullif(regexp_extract(attrs ->> '$.cmd', '--(?:port|p) (\d+)', 1), ''))
        filter (where kind = 'start') as cmd_port,
    any_value(attrs ->> '$.port') filter (where kind = 'start') as stated_port,
    any_value(attrs ->> '$.model') filter (where kind = 'start') as model,
    any_value(nullif(regexp_extract(attrs ->> '$.cmd', '(?:--ctx-size|-c) (\d+)', 1), ''))
        filter (where kind = 'start') as cmd_ctx,
    any_value(nullif(regexp_extract(attrs ->> '$.cmd', '(?:--parallel|-np) (\d+)', 1), ''))
        filter (where kind = 'start') as cmd_parallel,
    any_value(nullif(regexp_extract(attrs ->> '$.cmd', '--(?:kv-cache-type|cache-type-k) (\S+)', 1), ''))
        filter (where kind = 'start') as cmd_kv_type,
    any_value(coalesce(nullif(regexp_extract(attrs ->> '$.cmd', '--flash-attn (on|off|auto)', 1), ''), case
        when contains(attrs ->> '$.cmd', '--flash-attn') then 'on' end)) filter (where kind = 'start') as cmd_flash,
    arg_max(nullif(regexp_extract(attrs ->> '$.request', 'KvSize:(\d+)', 1), ''), event_id) as layout_ctx,
    arg_max(nullif(regexp_extract(attrs ->> '$.request', 'Parallel:(\d+)', 1), ''), event_id) as layout_parallel,
    arg_max(nullif(regexp_extract(attrs ->> '$.request', 'KvCacheType:(\w+)', 1), ''), event_id) as layout_kv_type,
    arg_max(nullif(lower(regexp_extract(attrs ->> '$.request', 'FlashAttention:(\w+)', 1)), ''),
        event_id) as layout_flash,
    arg_max(case when contains(attrs ->> '$.request', 'GPULayers:')
        then coalesce(nullif(regexp_extract(attrs ->> '$.request', 'GPULayers:(\d+)\[', 1), ''), '0') end,
        event_id) as layout_offloaded,
    arg_max(nullif(regexp_extract(text, '(?:^|\n)(?:\w+: )?n_ctx += (\d+)', 1), ''), event_id) as runner_ctx,
    arg_max(nullif(regexp_extract(text, '(?:^|\n)(?:\w+: )?n_seq_max += (\d+)', 1), ''), event_id) as runner_parallel,
    arg_max(nullif(regexp_extract(text, '(?:^|\n)(?:\w+: )?flash_attn += (\w+)', 1), ''), event_id) as runner_flash,
    arg_max(case when contains(message, 'set to enabled') then 'on' when contains(message, 'set to disabled')
        then 'off' end, event_id) filter (where message like 'Flash Attention was auto%') as final_flash,
    arg_max(coalesce(nullif(regexp_extract(message, ' K \((\w+)\)', 1), ''), nullif(regexp_extract(message,
        'type_k = ''(\w+)''', 1), '')), event_id) filter (where kind in ('cache', 'buffers')) as cache_kv_type,
    arg_max(nullif(regexp_extract(message, 'offloaded (\d+)/\d+ layers', 1), ''), event_id) as runner_offloaded,
    arg_max(nullif(regexp_extract(message, 'offloaded \d+/(\d+) layers', 1), ''), event_id) as runner_layers,
    arg_max(attrs ->> '$."model layers"', event_id) as engine_layers,
    arg_max(coalesce(attrs ->> '$."layers.offload"', attrs ->> '$."layers.real"', attrs ->> '$.reallayers'), event_id)
        filter (where kind = 'estimate') as estimated_offloaded,
    arg_max(coalesce(attrs ->> '$."layers.model"', attrs ->> '$.layers'), event_id)
        filter (where kind = 'estimate') as estimated_layers,
    arg_max(try_cast(nullif(regexp_extract(text, '(?:^|\n)(?:\w+: )?n_layer += (\d+)', 1), '') as integer) + 1,
        event_id) as file_layers,
    arg_max(blob_name(message), event_id) filter (where message like 'loaded meta data with %') as file_blob,
    arg_max(coalesce(nullif(regexp_extract(text, '(?:^|\n)(?:\w+: )?arch += (\S+)', 1), ''),
        nullif(regexp_extract(text, 'general\.architecture str += (\S+)', 1), ''), attrs ->> '$.architecture'),
        event_id) as architecture,
    arg_max(nullif(trim(regexp_extract(text, '(?:^|\n)(?:\w+: )?model params += ([\d.]+ \w)', 1)), ''),
        event_id) as parameters,
    arg_max(coalesce(nullif(trim(regexp_extract(text, '(?:^|\n)(?:\w+: )?(?:file type|model ftype) += ([^\n]+)', 1)),
        ''), nullif(attrs ->> '$.file_type', '')), event_id) as quantization,
    arg_max(coalesce(nullif(trim(regexp_extract(text, '(?:^|\n)(?:\w+: )?general\.name\s+= ([^\n]+)', 1)), ''),
        nullif(attrs ->> '$.name', '')), event_id) filter (where kind = 'facts') as title,
    arg_max(pid, event_id) filter (where format like 'cpp-%') as cpp_pid,
    -- The reason of a refusal: "model requires more system memory (24.0 GiB) than is available (15.3 GiB)".
    arg_max(nullif(regexp_extract(attrs ->> '$.error', 'system memory \(([\d.]+ \w+)\) than', 1), ''),
        event_id) as refused_need,
    arg_max(nullif(regexp_extract(attrs ->> '$.error', 'is available \(([\d.]+ \w+)\)', 1), ''),
        event_id) as refused_free,
    arg_max(coalesce(attrs ->> '$.requested', attrs ->> '$."memory.required.full"', attrs ->> '$.required'), event_id)
        filter (where kind = 'estimate') as estimated_need,
    arg_max(coalesce(attrs ->> '$."memory.available"', attrs ->> '$.available'), event_id)
        filter (where kind = 'estimate') as estimated_free,
    arg_max(attrs ->> '$.size', event_id) filter (where message = 'total memory') as laid_out_need,
    -- The first projection is what was asked for; then the runner makes it fit.
    arg_min(nullif(regexp_extract(message, 'projected to use ([\d.]+ \w+)', 1), ''), event_id)
        filter (where kind = 'projected') as projected_need,
    arg_min(nullif(regexp_extract(message, 'vs\. ([\d.]+ \w+) of free', 1), ''), event_id)
        filter (where kind = 'projected') as projected_free,
    arg_max(attrs ->> '$.free', event_id) filter (where message = 'system memory') as system_free
from load_records
group by load_seq;

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
)
select
    a.load_seq, s.session_id, s.source_id, s.ts as ts_start, coalesce(t.ts, case when a.outcome <> 'unknown'
        then s.ts end) as ts_end,
    epoch_us(t.ts) - epoch_us(s.ts) as duration_us,
    regexp_replace(f.model, '^registry\.ollama\.ai/(?:library/)?', '') as model,
    coalesce(a.blob, f.file_blob) as blob, f.architecture, f.parameters, f.quantization, f.title,
    coalesce(f.cmd_ctx, f.layout_ctx, f.runner_ctx)::bigint // greatest(coalesce(f.cmd_parallel, f.layout_parallel,
        f.runner_parallel, '1')::bigint, 1) as num_ctx,
    coalesce(f.cmd_parallel, f.layout_parallel, f.runner_parallel)::integer as num_parallel,
    coalesce(f.cmd_kv_type, f.layout_kv_type, f.cache_kv_type) as kv_cache_type,
    coalesce(f.final_flash, f.cmd_flash, case coalesce(f.layout_flash, f.runner_flash) when 'true' then 'on'
        when 'enabled' then 'on' when '1' then 'on' when 'false' then 'off' when 'disabled' then 'off' when '0'
        then 'off' when 'auto' then 'auto' end) as flash_attention,
    coalesce(f.runner_layers, f.engine_layers, f.estimated_layers, f.file_layers::varchar)::integer as layers_total,
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
    case when f.cpp_pid <> coalesce(s.pid, -1) then f.cpp_pid end as runner_pid,
    coalesce(f.cmd_port, f.stated_port)::integer as runner_port,
    a.load_seq as first_event_id, coalesce(a.end_id, a.load_seq) as last_event_id
from attempts as a
inner join load_lines as s on s.event_id = a.load_seq
left join load_facts as f using (load_seq)
left join load_sizes as z using (load_seq)
left join events as t on t.event_id = a.end_id;
