-- Which model a request asked for, from the folder of OLLAMA_DEBUG_LOG_REQUESTS.
--
-- A dump carries the moment its request ended (server/inference_request_log.go@v0.24.0; its arrival once ollama#17437
-- is done), the access line the whole second it ended in. So the dumps of a route meet its requests in order, one to
-- one. The server's own line about a dump comes right before the access line and says on which host it was written.
--
-- reads: errors, events, requests, scope
-- makes: dumps, one row per dumped request near what was touched
-- makes: dump_notes, one row per line of the server about a dump
-- makes: dumped_models, one row per request whose dump names its model
-- writes: changed_incidents, errors, requests

-- Whole folders, so that neither order nor size of the loads changes what meets what.
create or replace temp table dumps as
with touched_times as (
    select min(ts_start) - interval 2 second as from_ts, max(ts_end) + interval 2 second as to_ts from requests
        where session_id in (select session_id from scope)
    union all
    select min(ts), max(ts) from events where load_id between getvariable('first_load_id')
        and getvariable('last_load_id') and format in getvariable('dump_formats')
),
folders as (
    select e.source_id from events as e
    where e.format in getvariable('dump_formats')
    group by e.source_id
    having exists (select 1 from touched_times as n where min(e.ts) <= n.to_ts and max(e.ts) >= n.from_ts)
)
select event_id, source_id, host, ts, attrs ->> '$.request_dump' as stem, attrs ->> '$.endpoint' as endpoint,
    attrs ->> '$.model' as model
from events
where format in getvariable('dump_formats') and ts is not null and source_id in (select source_id from folders);

create or replace temp table dump_notes as
select regexp_extract(e.message, '([^/\\]+)_body\.json', 1) as stem, min(e.event_id) as event_id,
    any_value(e.session_id) as session_id, any_value(e.host) as host
from (select min(ts) - interval 1 hour as from_ts, max(ts) + interval 1 hour as to_ts
    from dumps having count(*) > 0) as d
inner join events as e on e.ts between d.from_ts and d.to_ts and e.format = 'slog-text'
    and starts_with(e.message, 'logged to ')
group by stem;

create or replace temp table dumped_models as
with homes as (
    -- A folder is of one server: without a label, of the host whose log names its files.
    select d.source_id, coalesce(any_value(d.host), mode(n.host), '') as host
    from dumps as d left join dump_notes as n using (stem)
    group by d.source_id
),
lines as (
    select r.request_id, r.event_id, r.session_id, r.endpoint, coalesce(e.host, '') as host, s.side,
        case s.side when 'end' then r.ts_end else r.ts_start end as ts
    from requests as r
    inner join events as e using (event_id)
    cross join (values ('end'), ('start')) as s (side)
    where r.surface = 'ollama' and r.method = 'POST' and r.endpoint in (select endpoint from dumps)
        and r.ts_end >= (select min(ts) - interval 2 second from dumps)
            and r.ts_start <= (select max(ts) + interval 2 second from dumps)
),
line_places as (
    select *, row_number() over (partition by host, endpoint, side order by ts, event_id) as place from lines
),
spans as (
    select d.event_id as dump_id, d.source_id, d.stem, d.ts as dump_ts, d.model, h.host, d.endpoint, s.side,
        case s.side when 'end' then date_trunc('second', d.ts) else d.ts - interval 1100 millisecond end as from_ts,
        case s.side when 'end' then d.ts + interval 500 millisecond else d.ts + interval 100 millisecond end as to_ts
    from dumps as d
    inner join homes as h using (source_id)
    cross join (values ('end'), ('start')) as s (side)
),
first_lines as (
    select s.dump_id, s.side, min(p.place) as first_place
    from spans as s
    left join dump_notes as n using (stem)
    inner join line_places as p on p.host = s.host and p.endpoint = s.endpoint and p.side = s.side
        and p.ts between s.from_ts and s.to_ts
        and (s.side = 'start' or n.event_id is null or (p.session_id = n.session_id and p.event_id > n.event_id))
    group by s.dump_id, s.side
),
dump_numbers as (
    select s.*, r.first_place, row_number()
        over (partition by s.host, s.endpoint, s.side order by s.dump_ts, s.stem) as number
    from spans as s
    inner join first_lines as r on r.dump_id = s.dump_id and r.side = s.side
),
-- Each dump takes the first line it can that no dump before it has taken.
dump_queue as (select *, number + max(first_place - number)
    over (partition by host, endpoint, side order by number) as place from dump_numbers),
pairs as (
    select q.source_id, q.side, p.request_id, q.model
    from dump_queue as q
    inner join line_places as p on p.host = q.host and p.endpoint = q.endpoint and p.side = q.side and p.place = q.place
        and p.ts between q.from_ts and q.to_ts
),
-- A server writes the same moment for all dumps of a folder; when both fit, it is the end.
sides as (
    select source_id, side from pairs group by source_id, side
    qualify row_number() over (partition by source_id order by count(*) desc, side) = 1
)
select p.request_id, any_value(p.model) as model
from pairs as p
inner join sides as s on s.source_id = p.source_id and s.side = p.side
where p.model is not null
group by p.request_id;

update requests set model = f.model, model_source = 'body_file'
from dumped_models as f
where requests.request_id = f.request_id
    and (requests.model is distinct from f.model or requests.model_source is distinct from 'body_file');

insert into changed_incidents
select e.incident_id
from errors as e
inner join dumped_models as f on e.request_id = f.request_id
where e.model is null;

update errors set model = f.model, model_source = 'body_file'
from dumped_models as f
where errors.request_id = f.request_id and errors.model is null;
