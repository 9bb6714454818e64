-- One failure, however many programs wrote it down: what a gateway says and sends belongs to the incident of Ollama's
-- line of that request, else to what the gateway gives as reason.
create or replace temp table relay_fronts as
select
    g.request_id, g.event_id, g.session_id, g.status, g.explained_by, g.answered_by, g.asked_by,
        o.status as answered_status,
    -- A 200 that broke is led back to the death of the runner, unless the gateway lost its patience.
    coalesce(o.incident_id, case when w.cause <> 'cloud_or_proxy_timeout' then i.incident_id end) as back_id
from requests as g
left join errors as w on w.event_id = g.explained_by
left join requests as o on o.request_id = g.answered_by
left join incidents as i on i.root_event_id = o.suspected_by
where g.surface = 'gateway' and (g.status >= 400 or g.explained_by is not null);

create or replace temp table relay_merges as
with faults as (
    select e.event_id, e.session_id, e.ts, e.source_id, v.attrs ->> '$.connection' as connection,
        v.attrs ->> '$.request_id' as request_id, v.attrs ->> '$.request' as request,
        f.request_id as front_id
    from errors as e
    inner join events as v using (event_id)
    left join relay_fronts as f on f.explained_by = e.event_id
    where e.surface = 'gateway' and e.request_id is null
),
-- nginx tries one upstream after the other on one connection; the last failure is that of the request.
tried as (
    select a.event_id, b.front_id, b.event_id as line_id
    from (select * from faults where front_id is null and connection is not null) as a
    asof inner join (select * from faults where front_id is not null) as b
        on b.source_id = a.source_id and b.connection = a.connection and b.request = a.request
            and b.event_id > a.event_id
    where b.ts - a.ts <= interval 10 minute
    union all
    select a.event_id, b.front_id, b.event_id as line_id
    from (select * from faults where front_id is null and request_id is not null) as a
    inner join (select * from faults where front_id is not null) as b on b.source_id = a.source_id
        and b.request_id = a.request_id
    union all
    select t.event_id, t.front_id, t.event_id as line_id from faults as t where t.front_id is not null
),
targets as (
    select e.event_id, f.request_id as front_id, coalesce(f.back_id, f.explained_by, e.event_id) as incident_id
    from errors as e
    inner join relay_fronts as f on f.event_id = e.event_id
    where e.surface = 'gateway'
    union all
    select e.event_id, f.request_id, coalesce(f.back_id, f.explained_by, f.event_id)
    from relay_fronts as f
    inner join calls as c on c.call_id = f.asked_by and c.request_id is null
    inner join errors as e on e.event_id = c.event_id
    union all
    -- Whose stream the gateway cut off knows no reason.
    select e.event_id, f.request_id, coalesce(f.back_id, f.explained_by)
    from relay_fronts as f
    inner join calls as c on c.request_id = f.answered_by
    inner join errors as e on e.event_id = c.event_id
    where f.status < 400 and f.explained_by is not null
    union all
    select e.event_id, t.front_id, coalesce(f.back_id, t.line_id, e.event_id)
    from faults as e
    left join tried as t on t.event_id = e.event_id
    left join relay_fronts as f on f.request_id = t.front_id
)
select t.event_id, t.front_id, e.incident_id as old_id, t.incident_id
from targets as t
inner join errors as e using (event_id)
left join incidents as i on i.incident_id = t.incident_id
where e.session_id in (select session_id from scope) or i.session_id in (select session_id from scope)
    or e.incident_id is distinct from t.incident_id;

update errors set incident_id = m.incident_id from relay_merges as m where errors.event_id = m.event_id
    and errors.incident_id is distinct from m.incident_id;
update events set incident_id = m.incident_id from relay_merges as m where events.event_id = m.event_id
    and events.incident_id is distinct from m.incident_id;

create or replace temp table relayed_now as select * from incidents where false;

insert into relayed_now by name
with touched as (select incident_id from relay_merges union select old_id from relay_merges),
marked as (
    select e.*, e.surface = 'gateway' as is_gateway, e.surface = 'client' as is_client,
        -- A request that was written down twice is one.
        case when e.surface = 'access' then e.event_id
            else coalesce(f.answered_by, w.answered_by, f.request_id, w.request_id) end as asked_id,
        bool_or(e.surface in ('access', 'server')) over p as has_server,
        -- Whether Ollama only saw that somebody left, or says nothing but a status.
        coalesce(bool_and(e.category = 'cancelled' or e.confidence = 'guess')
            filter (where e.surface in ('access', 'server')) over p, true) as is_left,
        coalesce(bool_and(e.confidence = 'guess') filter (where e.surface in ('access', 'server'))
            over p, true) as is_guessed
    from errors as e
    left join relay_fronts as f on f.event_id = e.event_id
    left join relay_fronts as w on w.explained_by = e.event_id
    where e.incident_id in (select incident_id from touched)
    window p as (partition by e.incident_id)
),
members as (
    select *,
        row_number() over (
            partition by incident_id
            order by
                case
                    when is_gateway and ((cause = 'cloud_or_proxy_timeout' and is_left)
                        or (cause = 'gateway_client_closed' and is_guessed)) then 0
                    when is_gateway and has_server then 2
                    else 1
                end,
                -- What stands in the log of the gateway says more than its access line.
                is_gateway and request_id is not null, vagueness_of(confidence, cause, category), is_client, event_id
        ) as place
    from marked
),
totals as (
    select incident_id, min(ts) as first_ts, max(ts) as last_ts, count(distinct event_id) as error_count,
        count(distinct asked_id) as request_count,
        count(distinct event_id) filter (where is_client) as call_count, list_sort(list(distinct model)
            filter (where model is not null)) as models,
        max(case severity when 'critical' then 3 when 'error' then 2 else 1 end) as worst,
        bool_or(is_client) as has_client, bool_or(not is_client) as has_other, bool_or(has_server) as has_server,
        arg_min(session_id, event_id) filter (where not is_gateway) as session_id, arg_min(source_id, event_id)
            filter (where not is_gateway) as source_id
    from members group by incident_id
)
select t.incident_id, t.first_ts, t.last_ts,
    case when m.event_id = i.root_event_id then i.code else m.code end as code, c.cause,
    -- Whoever leaves is no fault of the server, whatever status it gave him.
    case when c.cause = 'gateway_client_closed' then 'warning' when t.worst = 3 then 'critical' when t.worst = 2
        then 'error' else 'warning' end as severity,
    m.event_id as root_event_id, t.error_count, t.request_count, t.call_count, t.models,
    case when t.has_client and t.has_other then 'both' when t.has_client then 'client' when t.has_server then 'server'
        else 'gateway' end as sides,
    coalesce(t.session_id, m.session_id) as session_id, coalesce(t.source_id, m.source_id) as source_id, m.confidence,
        coalesce(i.restart_count, 0) as restart_count
from totals as t
inner join members as m on m.incident_id = t.incident_id and m.place = 1
left join incidents as i on i.incident_id = t.incident_id
inner join causes as c on c.code = case when m.event_id = i.root_event_id then i.code else m.code end;

delete from incidents as i
where i.incident_id in (select incident_id from relay_merges union select old_id from relay_merges)
    and hash(i) not in (select hash(n) from relayed_now as n);
insert into incidents select * from relayed_now where incident_id not in (select incident_id from incidents);

update calls set incident_id = e.incident_id
from errors as e
where calls.event_id = e.event_id and calls.incident_id is distinct from e.incident_id;

-- The lines of both sides: a stream that the gateway saw break, and a request that Ollama answered to nobody.
create or replace temp table relay_fates as
with merged as (
    select f.*, m.incident_id, i.code, c.category = 'cancelled'
        or c.cause in ('cloud_or_proxy_timeout', 'gateway_client_closed') as is_left
    from (select distinct front_id, incident_id from relay_merges) as m
    inner join relay_fronts as f on f.request_id = m.front_id
    inner join incidents as i on i.incident_id = m.incident_id
    inner join causes as c on c.code = i.code
)
select request_id, min(incident_id) as incident_id, min(code) as code, bool_or(status < 400) as is_broken,
    false as is_left
from merged
group by request_id
union all
select r.request_id, m.incident_id, m.code, false, m.is_left and m.status in (499, 504) and r.status in (499, 500)
from merged as m
inner join requests as r on r.request_id = m.answered_by and r.incident_id = m.incident_id;

update requests set incident_id = f.incident_id, code = f.code,
    outcome = case when f.is_broken then 'failed_mid_stream' when f.is_left then 'cancelled_by_client'
        else requests.outcome end
from relay_fates as f
where requests.request_id = f.request_id;
