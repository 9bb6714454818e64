-- Attempts to load a model: from the line that starts the runner to the one that says how it went.
delete from model_loads where session_id in (select session_id from scope) and load_seq >= getvariable('since_id');

create or replace temp table load_lines as
-- Of all problems only those count that a load can fail of.
with fatal as (select code from causes where category in ('memory', 'gpu', 'runner', 'model_file') and severity in ('error', 'critical'))
select event_id, source_id, session_id, ts, component, message, attrs, cause, code,
    message in ('starting llama server', 'starting runner', 'starting llama-server') and attrs like '%--model %' as is_start
from events
where session_id in (select session_id from scope) and event_id >= getvariable('since_id') - 20
    and (
        message in ('starting llama server', 'starting runner', 'starting llama-server', 'offload', 'load', 'gpu memory', 'system memory', 'model weights', 'kv cache', 'compute graph', 'total memory')
        or message like 'offload to %' or message like '%offloaded %/% layers to GPU' or message like '%buffer size =%'
        or message like 'llama%started in %' or message like 'mlx runner is ready%' or code in (select code from fatal)
        or component in ('print_info', 'llm_load_print_meta', 'llama_model_loader', 'llama_context', 'llama_new_context_with_model')
    );

create or replace temp table load_windows as
select *, max(case when is_start then event_id end) over (partition by session_id order by event_id) as load_seq,
    min(case when is_start then event_id end) over (partition by session_id order by event_id rows between 1 following and unbounded following) as next_seq
from load_lines;

insert into model_loads by name
with ends as (
    -- The attempt ends with the first line that says so; echoes of later failures are not its own.
    select load_seq,
        min(event_id) filter (where message like '%started in % seconds' or message like 'mlx runner is ready%') as ready_id,
        min(event_id) filter (where c.category in ('memory', 'gpu', 'runner', 'model_file') and c.severity in ('error', 'critical')) as bad_id,
        max(event_id) as last_id
    from load_windows as w left join causes as c on c.code = w.code
    where load_seq is not null and not is_start
    group by load_seq
),
facts as (
    select
        w.load_seq,
        any_value(regexp_extract(attrs ->> '$.cmd', '--model (\S+)', 1)) filter (where is_start) as model_path,
        any_value(nullif(regexp_extract(attrs ->> '$.cmd', '--(?:port|p) (\d+)', 1), '')) filter (where is_start) as port,
        any_value(nullif(regexp_extract(attrs ->> '$.cmd', '(?:--ctx-size|-c) (\d+)', 1), '')) filter (where is_start) as ctx_size,
        any_value(nullif(regexp_extract(attrs ->> '$.cmd', '(?:--parallel|-np) (\d+)', 1), '')) filter (where is_start) as parallel,
        any_value(nullif(regexp_extract(attrs ->> '$.cmd', '--(?:kv-cache-type|cache-type-k) (\S+)', 1), '')) filter (where is_start) as kv_type,
        any_value(nullif(regexp_extract(attrs ->> '$.cmd', '(--flash-attn(?: \w+)?)', 1), '')) filter (where is_start) as flash,
        max(nullif(regexp_extract(message, 'offloaded (\d+)/\d+ layers', 1), '')) as offloaded,
        max(nullif(regexp_extract(message, 'offloaded \d+/(\d+) layers', 1), '')) as layers,
        max(nullif(regexp_extract(attrs ->> '$.request', 'KvSize:(\d+)', 1), '')) as kv_size,
        max(nullif(regexp_extract(attrs ->> '$.request', 'Parallel:(\d+)', 1), '')) as load_parallel,
        max(nullif(regexp_extract(message || coalesce(attrs, ''), 'general\.architecture str += (\S+)', 1), '')) as architecture,
        sum(try_cast(nullif(regexp_extract(message, 'model buffer size = +([\d.]+) MiB', 1), '') as double)) as weights_mib,
        sum(try_cast(nullif(regexp_extract(message, 'KV buffer size = +([\d.]+) MiB', 1), '') as double)) as kv_mib,
        sum(try_cast(nullif(regexp_extract(message, 'compute buffer size = +([\d.]+) MiB', 1), '') as double)) as graph_mib,
        max(nullif(regexp_extract(message, 'file type += (\S+)', 1), '')) as quantization,
        max(nullif(regexp_extract(message, 'model params += ([\d.]+ \w)', 1), '')) as parameters,
        max(attrs ->> '$."memory.required.full"') as required_text,
        max(nullif(regexp_extract(attrs ->> '$."memory.available"', '([\d.]+ [KMG]?i?B)', 1), '')) as available_text
    from load_windows as w
    left join ends as e using (load_seq)
    where w.load_seq is not null and w.event_id <= coalesce(least(e.ready_id, e.bad_id), e.ready_id, e.bad_id, e.last_id, w.event_id)
    group by w.load_seq
),
before as (
    -- Up to v0.12 the estimate stands before the line that starts the runner.
    select next_seq as load_seq, max(attrs ->> '$."memory.required.full"') as required_text,
        max(nullif(regexp_extract(attrs ->> '$."memory.available"', '([\d.]+ [KMG]?i?B)', 1), '')) as available_text,
        max(attrs ->> '$."layers.offload"') as offloaded, max(attrs ->> '$."layers.model"') as layers
    from load_windows
    where next_seq is not null and message like 'offload%' and next_seq - event_id < 20
    group by next_seq
),
bytes as (
    select f.*, coalesce(f.required_text, b.required_text) as needed, coalesce(f.available_text, b.available_text) as free,
        coalesce(f.offloaded, b.offloaded) as layers_offloaded, coalesce(f.layers, b.layers) as layers_total
    from facts as f left join before as b using (load_seq)
)
select
    s.event_id as load_seq, s.session_id, s.source_id, s.ts as ts_start, t.ts as ts_end,
    epoch_us(t.ts) - epoch_us(s.ts) as duration_us,
    cast(null as varchar) as model,
    nullif(regexp_extract(b.model_path, '(sha256-[0-9a-f]{12})', 1), '') as blob,
    b.architecture, b.parameters, b.quantization,
    coalesce(cast(b.ctx_size as bigint), cast(b.kv_size as bigint)) // greatest(coalesce(cast(b.parallel as bigint), cast(b.load_parallel as bigint), 1), 1) as num_ctx,
    coalesce(cast(b.parallel as integer), cast(b.load_parallel as integer)) as num_parallel,
    b.kv_type as kv_cache_type, b.flash as flash_attention,
    try_cast(b.layers_total as integer) as layers_total, try_cast(b.layers_offloaded as integer) as layers_offloaded,
    cast(b.weights_mib * 1048576 as bigint) as weights_bytes, cast(b.kv_mib * 1048576 as bigint) as kv_bytes, cast(b.graph_mib * 1048576 as bigint) as graph_bytes,
    size_bytes(b.needed) as required_bytes, size_bytes(b.free) as available_bytes,
    case
        when e.ready_id is not null and (e.bad_id is null or e.ready_id < e.bad_id) then 'loaded'
        when c.category = 'memory' then 'oom'
        when e.bad_id is not null then 'failed'
        else 'unknown'
    end as outcome,
    case when e.ready_id is null or e.bad_id < e.ready_id then bad.code end as code,
    cast(null as integer) as runner_pid, cast(b.port as integer) as runner_port,
    s.event_id as first_event_id, coalesce(t.event_id, s.event_id) as last_event_id
from load_lines as s
inner join bytes as b on b.load_seq = s.event_id
left join ends as e on e.load_seq = s.event_id
left join load_lines as t on t.event_id = coalesce(least(e.ready_id, e.bad_id), e.ready_id, e.bad_id)
left join load_lines as bad on bad.event_id = e.bad_id
left join causes as c on c.code = bad.code
where s.is_start and s.event_id >= getvariable('since_id');
