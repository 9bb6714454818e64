-- Which 200s are suspect: a runner that dies while it answers leaves a 200 and no line.
--
-- Its death is noticed at the next request of the model. So a runner that is found dead is led back to its last
-- streams, unless another request reports the same death. A crash that writes a line does so while its streams run.
--
-- reads: chains, errors, lines_of_faults, model_loads, requests, scope, server_incidents, starts
-- makes: deaths, one row per incident and way in which a runner's death became known
-- makes: suspects, one row per request that was probably broken off
-- writes: requests

create or replace temp table deaths as
select c.incident_id, l.session_id, l.is_noticed, min(l.event_id) as event_id, arg_min(l.ts, l.event_id) as ts,
    arg_min(l.own_start_id, l.event_id) as own_start_id
from lines_of_faults as l
inner join chains as c using (event_id)
inner join errors as e using (event_id)
where (l.cause in ('runner_killed', 'runner_crashed', 'runner_crashed_midstream', 'segfault',
    'runtime_oom', 'cuda_oom_compute', 'metal_oom', 'ggml_assert', 'native_abort', 'cuda_illegal_access')
    or (e.category = 'gpu' and e.phase = 'generate' and e.severity = 'critical'))
group by c.incident_id, l.session_id, l.is_noticed;

create or replace temp table suspects as
with streams_200 as (
    select event_id, session_id, ts_start, ts_end, duration_us
    from requests
    where session_id in (select session_id from deaths) and event_id >= getvariable('recovery_from')
        and status = 200 and is_inference and surface = 'ollama'
            and endpoint not in ('/api/embed', '/api/embeddings', '/v1/embeddings')
),
-- The request that waited for a load is the first one that ends after it, and it began before.
waiting_requests as (
    select m.load_seq, r.event_id, r.duration_us - m.duration_us as rest_us
    from (select session_id, load_seq, last_event_id, ts_start, duration_us from model_loads where outcome = 'loaded'
        and session_id in (select session_id from deaths)) as m
    asof inner join (select event_id, session_id, ts_start, duration_us from requests where is_inference
        and surface = 'ollama') as r
        on r.session_id = m.session_id and r.event_id > m.last_event_id
    where r.ts_start <= m.ts_start and r.duration_us >= m.duration_us
),
-- A request that only loaded its model, or was over at once, was not broken off in the middle.
long_streams as (select * from streams_200 where duration_us >= 50000
    and event_id not in (select event_id from waiting_requests where rest_us < 25000)),
last_streams as (
    select d.incident_id, d.session_id, d.own_start_id, max(s.event_id) as event_id,
        arg_max(s.ts_start, s.event_id) as ts_start, arg_max(s.ts_end, s.event_id) as ts_end
    from deaths as d
    inner join server_incidents as i using (incident_id)
    inner join long_streams as s on s.session_id = d.session_id and s.event_id > d.own_start_id
        and s.event_id between d.event_id - 2000 and d.event_id - 1
    -- A request that waited for another runner was not answered by this one.
    left join waiting_requests as w on w.event_id = s.event_id and w.load_seq > d.own_start_id
    where d.is_noticed and i.request_count = 0
        and d.incident_id not in (select incident_id from deaths where not is_noticed) and w.event_id is null
    group by d.incident_id, d.session_id, d.own_start_id
),
-- With it the requests that ended in its last second, and surely after it had begun: access lines have whole seconds.
ending_streams as (
    select s.event_id, l.incident_id
    from last_streams as l
    inner join long_streams as s on s.session_id = l.session_id
        and s.event_id between greatest(l.own_start_id, l.event_id - 100) and l.event_id
    where s.event_id = l.event_id or (s.ts_end >= l.ts_end - interval 1 second
        and s.ts_end >= l.ts_start + interval 1 second)
),
running_streams as (
    select s.event_id, d.incident_id
    from long_streams as s
    asof inner join (select * from deaths where not is_noticed) as d on d.session_id = s.session_id
        and d.event_id < s.event_id
    asof left join starts as n on n.session_id = s.session_id and n.event_id < s.event_id
    where d.ts between s.ts_start and s.ts_end + interval 1 second and coalesce(n.event_id < d.event_id, true)
)
select b.event_id, min(i.root_event_id) as suspected_by
from (select * from ending_streams union all select * from running_streams) as b
inner join server_incidents as i using (incident_id)
group by b.event_id;

update requests set suspected_by = s.suspected_by
from (
    select r.event_id, s.suspected_by
    from requests as r left join suspects as s using (event_id)
    where r.session_id in (select session_id from scope) and r.event_id >= getvariable('recovery_from')
        and r.suspected_by is distinct from s.suspected_by
        -- The last answer before the stretch that is read again may be marked already.
        and (r.event_id >= getvariable('memory_from') or s.suspected_by is not null)
) as s
where requests.event_id = s.event_id;
