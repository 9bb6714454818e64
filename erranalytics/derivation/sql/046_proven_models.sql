-- Which model a request asked for where there is no dump of it: only what the log proves.
--
-- A model is loaded because a request wants it. When all of a load is inside one request and no other request was
-- running, it was loaded for that one. A request whose line comes later may have been running too: so what a load
-- proves is looked at again when requests come that began before the load was over.
--
-- reads: errors, events, model_loads, requests, scope, server_sessions, templates
-- makes: loads_known, one row per attempt of these sessions
-- makes: asked_from, one row per session: from where on requests are looked at
-- makes: loads_asked, one row per attempt that may be inside such a request
-- makes: loads_open, one row per such an attempt that is not already known to be inside two requests
-- makes: proven_models, one row per request whose model is proven, or is not any more
-- makes: carried_models, one row per failed request whose model changed
-- writes: changed_incidents, errors, requests

create or replace temp table loads_known as
select load_seq, session_id, ts_start, coalesce(ts_end, ts_start) as ts_end, coalesce(model, blob) as model, outcome
from model_loads
where session_id in (select session_id from scope) and ts_start is not null;

create or replace temp table asked_from as
with news as (
    select session_id, min(ts_start) as from_ts from requests
    where session_id in (select session_id from scope) and event_id >= getvariable('recovery_from')
    group by session_id
)
select s.session_id, least(min(l.load_seq)
    filter (where l.load_seq >= getvariable('since_id') or l.ts_end >= n.from_ts),
    getvariable('recovery_from')) as from_id
from scope as s
left join loads_known as l using (session_id)
left join news as n using (session_id)
where s.session_id is not null
group by s.session_id;

-- Loads inside the requests that are looked at again may be older.
create or replace temp table loads_asked as
with earliest_requests as (
    select r.session_id, min(r.ts_start) as from_ts
    from requests as r
    inner join asked_from as f using (session_id)
    where r.event_id >= f.from_id and r.is_inference
    group by r.session_id
)
select l.*
from loads_known as l
inner join earliest_requests as e using (session_id)
where l.ts_end >= e.from_ts;

-- On a busy server the next lines already show two requests that were running.
create or replace temp table loads_open as
with load_parts as (
    select *, unnest([load_seq // 64, load_seq // 64 + 1]) as part from loads_asked
),
busy_loads as (
    select n.load_seq
    from load_parts as n
    inner join requests as r on r.event_id // 64 = n.part
    where r.session_id = n.session_id and r.event_id > n.load_seq and r.ts_start <= n.ts_end and r.is_inference
        and r.surface = 'ollama'
    group by n.load_seq
    having count(*) > 1
)
select *, max(ts_end) over (partition by session_id order by load_seq) as last_end
from loads_asked
where load_seq not in (select load_seq from busy_loads);

create or replace temp table proven_models as
-- Requests that may have been running during a load, by the latest end of those loads. An unknown route may have asked
-- for a model too.
with open_requests as (
    select r.event_id, r.session_id, r.ts_start, r.status, r.is_inference
    from (
        select * from requests
        where session_id in (select session_id from loads_open) and event_id > (select min(load_seq) from loads_open)
            and surface = 'ollama' and (is_inference or (method = 'POST' and endpoint = '/other'))
    ) as r
    asof inner join loads_open as l on l.session_id = r.session_id and l.load_seq < r.event_id
    where r.ts_start <= l.last_end
),
requests_inside as (
    -- Times of access lines are cut to whole seconds: a request that may have been running counts as running.
    select l.load_seq, l.model, l.outcome, l.ts_start as load_ts, r.event_id, r.ts_start, r.is_inference, r.status
    from loads_open as l
    inner join open_requests as r on r.session_id = l.session_id and r.event_id > l.load_seq and r.ts_start <= l.ts_end
),
lone_requests as (
    select load_seq, any_value(event_id) as event_id, any_value(model) as model, any_value(outcome) as outcome
    from requests_inside
    group by load_seq
    having count(*) = 1 and bool_and(is_inference and ts_start <= load_ts and status not in (401, 403, 404, 405))
),
load_models as (
    select event_id, min(model) as model, case when bool_or(outcome = 'loaded') then 'slog'
        else 'message' end as source, 2 as place
    from lone_requests
    group by event_id
    having count(distinct model) = 1
),
-- With OLLAMA_DEBUG the scheduler names the model of each request after its access line (server/sched.go@v0.24.0,
-- processCompleted). Lines of requests that end together may be mixed: then as many names as answers are needed, and
-- all the same.
names as (
    select session_id, event_id, regexp_replace(attrs ->> '$."runner.name"', '^registry\.ollama\.ai/(?:library/)?',
        '') as model
    from events
    where session_id in (select session_id from scope)
        and template_id in (select template_id from templates
            where template = 'after processing request finished event')
        and contains(attrs, '"runner.name"')
),
request_ends as (
    select session_id, event_id, true as is_name, model, cast(null as smallint) as status from names
    union all
    select session_id, event_id, false, null, status from requests
    where session_id in (select session_id from names) and is_inference and surface = 'ollama'
),
blocks as (
    select *, count(*) filter (where is_first) over (partition by session_id order by event_id) as block
    from (select *, not is_name and lag(is_name, 1, true) over (partition by session_id order by event_id) as is_first
        from request_ends) as marked
),
block_sums as (
    select
        session_id, block, count(*) filter (where not is_name) as answers, count(*)
            filter (where not is_name and status = 200) as good, count(*) filter (where is_name) as named,
        min(model) as model, max(model) as last_model
    from blocks
    group by session_id, block
),
-- A late name would be taken for that of the next answer: no name counts until all names that were due have come.
drifts as (
    select *, sum(good - named) over (partition by session_id order by block) as drift from block_sums
),
due_names as (
    select *, drift - least(0, min(drift) over (partition by session_id order by block)) as due from drifts
),
scheduler_models as (
    select b.event_id, o.model, 'slog' as source, 1 as place
    from (select *, lag(due, 1, 0) over (partition by session_id order by block) as due_before from due_names) as o
    inner join blocks as b on b.session_id = o.session_id and b.block = o.block
    where not b.is_name and o.due = 0 and o.due_before = 0 and o.answers = o.good and o.good = o.named
        and o.model = o.last_model
),
-- Where only one file was loaded since the server began, every answer came from it: unless a model of the cloud may
-- have answered (v0.12.0 and later; a build from source has no version), or only the end of a model was asked for,
-- which is over at once.
first_loads as (
    select l.session_id, arg_min(l.model, l.load_seq) as model, min(l.load_seq) as first_seq, count(*)
        filter (where l.model is null) as nameless_count
    from loads_known as l
    inner join server_sessions as s using (session_id)
    where l.outcome in ('loaded', 'unknown') and s.ts_start is not null
        and (
            regexp_matches(s.version, '^0\.(?:0\.[1-9]|[1-9]\.|1[01]\.)')
            or lower(coalesce(s.config['OLLAMA_NO_CLOUD'], '')) in ('1', 'true')
        )
    group by l.session_id
),
second_loads as (
    select f.session_id, min(l.load_seq) as second_seq
    from first_loads as f
    inner join loads_known as l on l.session_id = f.session_id and l.model <> f.model
        and l.outcome in ('loaded', 'unknown')
    group by f.session_id
),
single_models as (
    select r.event_id, f.model, 'single_loaded' as source, 3 as place
    from first_loads as f
    inner join requests as r on r.session_id = f.session_id and r.event_id > f.first_seq
    inner join asked_from as a on a.session_id = f.session_id and r.event_id >= a.from_id
    left join second_loads as o on o.session_id = f.session_id
    where r.is_inference and r.surface = 'ollama' and r.status = 200
        and r.event_id < coalesce(o.second_seq, r.event_id + 1) and f.nameless_count = 0
        and (r.endpoint not in ('/api/generate', '/api/chat') or r.duration_us >= 1000000)
),
all_models as (
    select * from scheduler_models
    union all
    select * from load_models
    union all
    select * from single_models
)
select f.event_id, arg_min(f.model, f.place) as model, arg_min(f.source, f.place) as model_source
from all_models as f
inner join requests as r using (event_id)
inner join asked_from as a on a.session_id = r.session_id and r.event_id >= a.from_id
group by f.event_id
union all
-- Models that were proven and are not any more.
select r.event_id, null, null
from requests as r
inner join asked_from as a on a.session_id = r.session_id and r.event_id >= a.from_id
where r.model_source in ('slog', 'message', 'single_loaded') and r.event_id not in (select event_id from all_models);

update requests set model = t.model, model_source = t.model_source
from proven_models as t
where requests.event_id = t.event_id and requests.model_source is distinct from 'body_file'
    and (requests.model is distinct from t.model or requests.model_source is distinct from t.model_source);

create or replace temp table carried_models as
select e.event_id, e.incident_id, r.model, r.model_source
from errors as e
inner join requests as r using (event_id)
where e.surface = 'access' and e.event_id in (select event_id from proven_models) and r.model_source is distinct
    from 'body_file'
    and (e.model is distinct from r.model or e.model_source is distinct from r.model_source);

update errors set model = c.model, model_source = c.model_source
from carried_models as c
where errors.event_id = c.event_id;

insert into changed_incidents select incident_id from carried_models;
