-- What became of each request: the cause from its incident, and which 200s are suspect.
create or replace temp table failing as
select r.event_id, r.status, r.endpoint, case when r.event_id < getvariable('fold_from') then r.incident_id end as settled_id
from requests as r
where r.session_id in (select session_id from scope)
    and (
        (r.event_id >= getvariable('fold_from') and (r.incident_id is not null or r.event_id in (select event_id from folded)))
        or r.incident_id in (select incident_id from incidents_now)
    );

create or replace temp table fates as
select
    r.event_id, i.incident_id, coalesce(i.code, e.code) as code,
    case when c.category = 'cancelled' then 'cancelled_by_client' else outcome_of(r.status, r.endpoint) end as outcome
from failing as r
left join folded as f on f.event_id = r.event_id
left join incidents_now as i on i.incident_id = coalesce(f.incident_id, r.settled_id)
left join causes as c on c.code = i.code
left join (select event_id, code from errors where event_id in (select event_id from failing)) as e on e.event_id = r.event_id;

update requests set incident_id = f.incident_id, code = f.code, outcome = f.outcome
from fates as f
where requests.event_id = f.event_id
    and (requests.incident_id is distinct from f.incident_id or requests.code is distinct from f.code or requests.outcome is distinct from f.outcome);

-- A runner that dies while it answers leaves a 200 and no line; its death is noticed at the next request of
-- the model. So each death is led back to the last streams that ended before it was noticed.
create or replace temp table deaths as
select i.incident_id, i.session_id, i.root_event_id, min(e.event_id) as noticed_id, min(e.ts) as noticed_ts
from errors as e
inner join incidents as i using (incident_id)
where e.session_id in (select session_id from scope)
    and (e.cause in ('runner_killed', 'runner_crashed', 'runner_crashed_midstream', 'segfault', 'runtime_oom', 'cuda_oom_compute', 'metal_oom', 'ggml_assert', 'native_abort', 'cuda_illegal_access')
        or (e.category = 'gpu' and e.phase = 'generate' and e.severity = 'critical'))
group by i.incident_id, i.session_id, i.root_event_id;

create or replace temp table suspects as
with streams_200 as (
    select event_id, session_id, ts_start, ts_end
    from requests
    where session_id in (select session_id from deaths) and event_id >= getvariable('recovery_from')
        and status = 200 and is_inference and endpoint not in ('/api/embed', '/api/embeddings', '/v1/embeddings')
),
ended_before as (
    select s.event_id, d.root_event_id
    from deaths as d
    asof inner join streams_200 as s on s.session_id = d.session_id and s.event_id < d.noticed_id
),
running_then as (
    select s.event_id, d.root_event_id
    from streams_200 as s
    asof inner join deaths as d on d.session_id = s.session_id and d.noticed_ts <= s.ts_end
    where d.noticed_ts >= s.ts_start
)
select event_id, min(root_event_id) as suspected_by
from (select * from ended_before union all select * from running_then) as led_back
group by event_id;

update requests set suspected_by = s.suspected_by
from (
    select r.event_id, s.suspected_by
    from requests as r left join suspects as s using (event_id)
    where r.session_id in (select session_id from scope) and r.event_id >= getvariable('recovery_from') and r.suspected_by is distinct from s.suspected_by
) as s
where requests.event_id = s.event_id;
