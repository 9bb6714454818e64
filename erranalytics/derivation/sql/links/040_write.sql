-- What came out differently: the line of a call, the model of a line, and one incident of both sides.
create or replace temp table links_now as
with near as (select call_id, count(*) as line_count from link_pairs group by call_id)
select l.call_id, l.request_id, l.link_confidence, p.skew_ms as link_skew_ms,
    'end ' || printf('%+d', cast(date_diff('millisecond', r.ts_end,
        c.ts_end) as bigint)) || ' ms, duration ' || printf('%+.1f', p.rest_ms) || ' ms, status '
    || case when c.http_status = r.status then 'equal'
        else coalesce(cast(c.http_status as varchar), 'none') || '/' || r.status end
    || case when n.line_count > 1 then ', of ' || n.line_count || ' lines' else '' end as link_evidence
from links as l
inner join link_pairs as p on p.call_id = l.call_id and p.request_id = l.request_id
inner join near as n on n.call_id = l.call_id
inner join calls as c on c.call_id = l.call_id
inner join requests as r on r.request_id = l.request_id;

update calls set request_id = n.request_id, link_confidence = n.link_confidence, link_evidence = n.link_evidence,
    link_skew_ms = n.link_skew_ms
from (
    select c.call_id, n.request_id, n.link_confidence, n.link_evidence, n.link_skew_ms
    from calls as c left join links_now as n using (call_id)
    where c.ts_start >= getvariable('pairs_from')
) as n
where calls.call_id = n.call_id
    and row(calls.request_id, calls.link_confidence, calls.link_evidence, calls.link_skew_ms)
        is distinct from row(n.request_id, n.link_confidence, n.link_evidence, n.link_skew_ms);

update requests set model = null, model_source = null
where model_source = 'client' and ts_start >= cast(getvariable('pairs_from') as timestamptz)
    and not exists (select 1 from calls as c where c.request_id = requests.request_id and c.model = requests.model);

-- A client knows which model it asked for; only a dumped body knows it as well.
update requests set model = c.model, model_source = 'client'
from calls as c
where c.request_id = requests.request_id and c.model is not null
    and (c.ts_start >= getvariable('pairs_from') or requests.session_id in (select session_id from scope))
    and coalesce(requests.model_source, '') <> 'body_file'
        and (requests.model is distinct from c.model or requests.model_source is distinct from 'client');

-- Where the server answers 200 and reports the failure inside, it may log the cause right before that line. A client
-- whose stream just ends does not know it.
create or replace temp table logged_beside as
with known as (
    select incident_id, session_id, root_event_id, code, first_ts, request_count from server_incidents
    union all
    select incident_id, session_id, root_event_id, code, first_ts, request_count from incidents
    where sides <> 'client' and incident_id not in (select incident_id from server_incidents)
        and not (incident_id >= getvariable('fold_from') and session_id in (select session_id from scope))
)
select c.call_id, i.incident_id
from calls as c
inner join requests as r on r.request_id = c.request_id
left join logged_incidents() as l on l.event_id = r.event_id
inner join known as i on i.session_id = r.session_id and i.root_event_id between r.event_id - 20 and r.event_id
    and i.first_ts between r.ts_start - interval 1 second and r.ts_end + interval 1 second
inner join causes as k on k.code = i.code
where r.status < 400 and l.incident_id is null and r.suspected_by is null
    and c.outcome in ('failed', 'failed_mid_stream', 'truncated')
    and i.request_count = 0
    and (i.code = c.code or (c.cause in ('stream_missing_done', 'stream_truncated')
        and k.category in ('stream', 'output')))
qualify row_number() over (partition by c.call_id order by i.root_event_id desc) = 1 and row_number()
    over (partition by i.incident_id order by r.event_id) = 1;

-- The failure a client saw is that of its access line, else the death that cut its stream, else the one logged beside
-- it.
insert into linked_members
select c.event_id, coalesce(l.incident_id, s.incident_id, b.incident_id) as incident_id
from calls as c
inner join requests as r on r.request_id = c.request_id
left join logged_incidents() as l on l.event_id = r.event_id
left join logged_incidents() as s on s.event_id = r.suspected_by and c.outcome in ('failed_mid_stream', 'truncated')
left join logged_beside as b on b.call_id = c.call_id
where coalesce(l.incident_id, s.incident_id, b.incident_id) is not null;
