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
    where c.ts_start >= getvariable('link_from')
) as n
where calls.call_id = n.call_id
    and row(calls.request_id, calls.link_confidence, calls.link_evidence, calls.link_skew_ms)
        is distinct from row(n.request_id, n.link_confidence, n.link_evidence, n.link_skew_ms);

update requests set model = null, model_source = null
where model_source = 'client' and ts_start >= cast(getvariable('link_from') as timestamptz)
    and not exists (select 1 from calls as c where c.request_id = requests.request_id and c.model = requests.model);

-- A client knows which model it asked for; only a dumped body knows it as well.
update requests set model = c.model, model_source = 'client'
from calls as c
where c.request_id = requests.request_id and c.model is not null
    and (c.ts_start >= getvariable('link_from') or requests.session_id in (select session_id from scope))
    and coalesce(requests.model_source, '') <> 'body_file'
        and (requests.model is distinct from c.model or requests.model_source is distinct from 'client');

-- Where the server answers 200 and tells the failure inside, it may log the cause right before that line. A client
-- whose
-- stream just ends does not know it.
create or replace temp table told_beside as
select c.call_id, i.incident_id
from calls as c
inner join requests as r on r.request_id = c.request_id
inner join incidents as i on i.session_id = r.session_id and i.root_event_id between r.event_id - 20 and r.event_id
    and i.first_ts between r.ts_start - interval 1 second and r.ts_end + interval 1 second
inner join causes as k on k.code = i.code
where r.status < 400 and r.incident_id is null and r.suspected_by is null
    and c.outcome in ('failed', 'failed_mid_stream', 'truncated')
    and i.request_count = 0 and i.sides <> 'client'
    and (i.code = c.code or (c.cause in ('stream_missing_done', 'stream_truncated')
        and k.category in ('stream', 'output')))
qualify row_number() over (partition by c.call_id order by i.root_event_id desc) = 1 and row_number()
    over (partition by i.incident_id order by r.event_id) = 1;

-- The failure a client saw is the one of its access line, else the death that cut its stream, else the one told beside
-- it.
create or replace temp table united as
with seen as (
    select e.event_id, e.incident_id as old_id, coalesce(r.incident_id, i.incident_id, b.incident_id) as incident_id,
        r.session_id in (select session_id from scope) or e.session_id in (select session_id from scope) as is_near
    from calls as c
    inner join errors as e on e.event_id = c.event_id
    inner join requests as r on r.request_id = c.request_id
    left join incidents as i on i.root_event_id = r.suspected_by and c.outcome in ('failed_mid_stream', 'truncated')
    left join told_beside as b on b.call_id = c.call_id
)
select event_id, old_id, incident_id
from seen
where incident_id is not null and (is_near or old_id is distinct from incident_id);

update errors set incident_id = m.incident_id from united as m where errors.event_id = m.event_id
    and errors.incident_id is distinct from m.incident_id;
update events set incident_id = m.incident_id from united as m where events.event_id = m.event_id
    and events.incident_id is distinct from m.incident_id;

create or replace temp table merged_now as select * from incidents where false;

insert into merged_now by name
with touched as (select incident_id from united union select old_id from united),
members as (
    select e.*, row_number() over (partition by e.incident_id
        order by vagueness_of(e.confidence, e.cause, e.category), e.surface = 'client', e.event_id) as place
    from errors as e
    where e.incident_id in (select incident_id from touched)
),
totals as (
    select incident_id, min(ts) as first_ts, max(ts) as last_ts, count(*) as error_count,
        count(*) filter (where surface = 'access') as request_count, count(*)
            filter (where surface = 'client') as call_count,
        list_sort(list(distinct model) filter (where model is not null)) as models,
        max(case severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        bool_or(surface = 'client') as is_client, bool_or(surface <> 'client') as is_server
    from members group by incident_id
)
select t.incident_id, t.first_ts, t.last_ts,
    case when m.event_id = i.root_event_id then i.code else m.code end as code, c.cause,
    case t.worst when 3 then 'critical' when 2 then 'error' else 'warning' end as severity,
    m.event_id as root_event_id, t.error_count, t.request_count, t.call_count, t.models,
    case when t.is_client and t.is_server then 'both' when t.is_client then 'client' else 'server' end as sides,
    coalesce(i.session_id, m.session_id) as session_id, coalesce(i.source_id, m.source_id) as source_id, m.confidence,
        i.restart_count
from totals as t
inner join members as m on m.incident_id = t.incident_id and m.place = 1
left join incidents as i on i.incident_id = t.incident_id
inner join causes as c on c.code = case when m.event_id = i.root_event_id then i.code else m.code end;

delete from incidents as i
where i.incident_id in (select incident_id from united union select old_id from united)
    and hash(i) not in (select hash(n) from merged_now as n);
insert into incidents select * from merged_now where incident_id not in (select incident_id from incidents);

update requests set code = i.code
from incidents as i
where requests.incident_id = i.incident_id and i.incident_id in (select incident_id from united)
    and requests.code is distinct from i.code;
update calls set incident_id = e.incident_id
from errors as e
where calls.event_id = e.event_id and calls.incident_id is distinct from e.incident_id;
