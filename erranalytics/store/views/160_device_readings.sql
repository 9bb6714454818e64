create or replace view device_readings as
-- since v0.12.4 the server prints both names of a device when it starts
with name_pairs as (
    select g.session_id, g.device_id, nullif(e.attrs ->> '$.name', '') as device
    from gpu_memory as g
    inner join events as e on e.event_id = g.event_id
    where g.source = 'inference_compute' and (e.attrs ->> '$.description') is not null
),
unique_names as (
    select session_id, device_id, any_value(device) as device
    from name_pairs
    where device is not null
    group by session_id, device_id
    having count(distinct device) = 1
),
-- In older versions, a runner and the scheduler mean the same device if each knows only one of that name.
lone_devices as (
    select
        session_id, name,
        min(device_id) filter (where is_runner) as device,
        min(device_id) filter (where not is_runner) as device_id
    from (
        select distinct session_id, name, device_id, source in ('runner_device') as is_runner
        from gpu_memory
        where library is distinct from 'cpu' and name is not null
    ) as seen
    group by session_id, name
    having count(*) = 2 and count(*) filter (where is_runner) = 1
)
select
    g.event_id, g.source_id, g.session_id, s.host,
    coalesce(s.host, f.uri) as place,
    g.ts,
    coalesce(
        n.device, l.device,
        regexp_replace(g.device_id, '^(GPU-[0-9a-f]{8})-[0-9a-f-]+$', '\1')
    ) as device,
    g.device_id, g.library, g.name, g.total_bytes, g.free_bytes, g.used_bytes, g.source
from gpu_memory as g
inner join (select source_id, min(uri) over (partition by stream_id) as uri from sources) as f
    on f.source_id = g.source_id
left join server_sessions as s on s.session_id = g.session_id
left join unique_names as n on n.session_id = g.session_id and n.device_id = g.device_id
left join lone_devices as l on l.session_id = g.session_id and l.device_id = g.device_id;
comment on view device_readings is 'gpu_memory with one name for each device, whichever component reported it';
comment on column device_readings.place is 'Host, else the log it was read from';
comment on column device_readings.device is
    'The device as a runner names it (CUDA0), else as the scheduler does, GPU- and the first eight digits; cpu is '
    'the memory of the host';
