-- What the log says of the memory of devices: at the start of the server, before each load, from the runners.
--
-- reads: events, scope, template_kinds
-- writes: gpu_memory

delete from gpu_memory where session_id in (select session_id from scope) and event_id >= getvariable('since_id');

insert into gpu_memory by name
with records as (
    select e.event_id, e.source_id, e.session_id, e.ts, e.message, e.attrs, k.of_memory as kind
    from events as e
    inner join template_kinds as k on k.template_id = e.template_id and k.of_memory is not null
    where e.session_id in (select session_id from scope) and e.event_id >= getvariable('since_id')
),
scheduler_readings as (
    select
        event_id, source_id, session_id, ts, kind as source,
        -- Up to v0.12.3 the host is device 0 or has no number.
        case when message like '%system memory%' or (attrs ->> '$.library') = 'cpu' then 'cpu'
            else coalesce(nullif(attrs ->> '$.id', ''), attrs ->> '$.gpu') end as device_id,
        case when message like '%system memory%' then 'cpu' when message like '%cuda%' then 'cuda'
            when message like '%rocm%' then 'rocm' else attrs ->> '$.library' end as library,
        case when kind = 'memory_refresh' then attrs ->> '$.name'
            else coalesce(nullif(attrs ->> '$.description', ''), attrs ->> '$.name') end as name,
        coalesce(attrs ->> '$.total', attrs ->> '$."now.total"') as total_text,
        coalesce(attrs ->> '$.free', attrs ->> '$."now.free"', attrs ->> '$.now', attrs ->> '$.available') as free_text
    from records
    where kind in ('inference_compute', 'gpu_memory', 'system_memory', 'vram_update', 'memory_refresh')
),
device_lines as (
    select
        event_id, source_id, session_id, ts, 'runner_device' as source,
        unnest(regexp_extract_all(coalesce(attrs ->> '$.lines', message),
            '- (\S+) *: ([^\n]*?) *\((\d+ MiB), (\d+ MiB) free\)')) as line
    from records
    where kind = 'runner_devices'
),
runner_readings as (
    select
        event_id, source_id, session_id, ts, kind as source,
            regexp_extract(message, 'using device (\S+) \(', 1) as device_id,
        regexp_extract(message, 'using device \S+ \(((?:[^()]|\([^()]*\))*)\)', 1) as name,
        cast(null as varchar) as total_text, regexp_extract(message, '- (\d+ MiB) free', 1) as free_text
    from records
    where kind = 'runner_device'
    union all
    select
        event_id, source_id, session_id, ts, kind, regexp_extract(message, '^(?:device )?(\S+)', 1), null,
        regexp_extract(message, 'total: (\d+)', 1), regexp_extract(message, 'free: (\d+)', 1)
    from records
    where kind = 'device_report'
    union all
    select
        event_id, source_id, session_id, ts, source, regexp_extract(line, '^- (\S+)', 1),
            regexp_extract(line, ': (.*?) *\(\d+ MiB, ', 1),
        regexp_extract(line, '\((\d+ MiB), ', 1), regexp_extract(line, ', (\d+ MiB) free\)', 1)
    from device_lines
),
readings as (
    select event_id, source_id, session_id, ts, source, device_id, library, name,
        size_bytes(total_text) as total_bytes, size_bytes(free_text) as free_bytes
    from scheduler_readings
    where device_id is not null
    union all
    select
        event_id, source_id, session_id, ts, source, case device_id when 'CPU' then 'cpu' else device_id end,
        case when device_id = 'CPU' then 'cpu'
            when regexp_matches(device_id, '^(?:CUDA|ROCm|Metal|MTL|Vulkan|SYCL)\d*$')
            then regexp_extract(device_id, '^[A-Za-z]+') when device_id like 'GPU-%' and source = 'device_report'
            then null end,
        name, size_bytes(total_text), size_bytes(free_text)
    from runner_readings
    where device_id <> ''
),
-- The line at the start of the server has name and size of a device; a runner calls it by the name it has there
-- (v0.12.4 and later).
known_devices as (
    select session_id, device_id, any_value(name) as name, any_value(total_bytes) as total_bytes,
        any_value(library) as library
    from (
        select e.session_id, unnest(list_distinct([e.attrs ->> '$.id', case
            when (e.attrs ->> '$.description') is not null then e.attrs ->> '$.name' end])) as device_id,
            coalesce(nullif(e.attrs ->> '$.description', ''), nullif(e.attrs ->> '$.name', '')) as name,
                size_bytes(e.attrs ->> '$.total') as total_bytes, e.attrs ->> '$.library' as library
        from events as e
        where e.session_id in (select session_id from scope)
            and e.template_id in (select template_id from template_kinds where of_memory = 'inference_compute')
            and (e.attrs ->> '$.library') <> 'cpu'
    ) as devices
    group by session_id, device_id
    having count(distinct total_bytes) = 1
)
select
    r.event_id, r.source_id, r.session_id, r.ts, r.device_id,
    nullif(replace(lower(coalesce(nullif(r.library, ''), k.library)), 'mtl', 'metal'), '') as library,
    coalesce(nullif(r.name, ''), k.name) as name,
    coalesce(r.total_bytes, k.total_bytes) as total_bytes, r.free_bytes,
    case when coalesce(r.total_bytes, k.total_bytes) >= r.free_bytes
        then coalesce(r.total_bytes, k.total_bytes) - r.free_bytes end as used_bytes,
    r.source
from readings as r
left join known_devices as k on k.session_id = r.session_id and k.device_id = r.device_id
where coalesce(r.total_bytes, r.free_bytes) is not null
order by r.event_id, r.device_id;
