-- The records of each attempt until it ends, with what the scheduler estimated between the attempt before and its
-- start; and the sizes in them.
--
-- reads: load_ends, load_refusals, load_windows, model_loads, scope
-- makes: load_records, one row per record of an attempt
-- makes: load_lasts, one row per size that counts, with its device
-- makes: load_sizes, one row per attempt: bytes by purpose
-- writes: load_buffers

create or replace temp table load_records as
with attempts as (
    select load_seq, session_id, coalesce(end_id, load_seq) as last_id from load_ends
    union all
    select load_seq, session_id, load_seq as last_id from load_refusals
    union all
    select max(load_seq), session_id, max(last_event_id) from model_loads
        where session_id in (select session_id from scope) group by session_id
),
attempt_bounds as (
    select load_seq, session_id, lag(last_id, 1, 0) over (partition by session_id order by load_seq) as before_id
        from attempts
),
inner_records as (
    select w.event_id, w.load_seq, w.kind, w.component, w.message, w.attrs, w.pid, w.format
    from load_windows as w
    inner join load_ends as e using (load_seq)
    where w.event_id <= coalesce(e.end_id, w.event_id) or w.event_id = w.load_seq
),
earlier_records as (
    select w.event_id, a.load_seq, w.kind, w.component, w.message, w.attrs, w.pid, w.format
    from attempt_bounds as a
    inner join load_windows as w on w.session_id = a.session_id and w.event_id < a.load_seq
        and w.event_id >= a.load_seq - 20
    where w.kind in ('estimate', 'free', 'facts') and w.event_id > a.before_id
),
records as (
    select * from inner_records
    union all
    select * from earlier_records
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
from records
window so_far as (partition by load_seq order by event_id rows between unbounded preceding and current row);

-- Sizes, each from the line that is nearest to the truth: buffers of the runner, sums of the runners of 2023 (llama.cpp
-- b1180: "MB" of 1024 KB), the layout of Ollama's engine, the estimate of the scheduler.
create or replace temp table load_lasts as
with stated_sizes as (
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
select * from stated_sizes
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
with size_sums as (
    select load_seq, what, place, sum(size_bytes(size_text))::bigint as bytes, bool_or(place = 1
        and device like '%$_Mapped' escape '$') as is_mapped
    from load_lasts
    group by load_seq, what, place
),
size_ranks as (
    select
        load_seq, what, bytes,
        -- A part of the file that is mapped for the host may overlap what the devices hold: then a layout is more
        -- exact.
        case when is_mapped and bytes > 1.1 * min(bytes) over (partition by load_seq, what) then 6
            else place end as place
    from size_sums
    where bytes is not null
)
select
    load_seq,
    arg_min(bytes, place) filter (where what = 'weights') as weights_bytes,
    arg_min(bytes, place) filter (where what = 'kv') as kv_bytes,
    arg_min(bytes, place) filter (where what = 'graph') as graph_bytes,
    arg_min(bytes, place) filter (where what = 'free') as free_bytes
from size_ranks
group by load_seq;

insert into load_buffers by name
select load_seq, event_id, device, what as purpose, size_bytes(size_text) as byte_count, case place when 3
    then 'layout' else 'runner' end as source
from load_lasts
where what <> 'free' and place in (1, 3) and device <> '' and size_bytes(size_text) > 0
    and load_seq in (select load_seq from load_ends where load_seq >= getvariable('since_id') union all select load_seq
        from load_refusals)
order by load_seq, event_id;
