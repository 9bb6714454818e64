-- Sessions of the other sides at the time of what was touched: a pair may come or go there.
--
-- reads: calls, errors, events, requests, scope, touched_spans
-- writes: scope

insert into scope
with gateway_sessions as (
    select r.session_id from requests as r, touched_spans() as s
    where r.surface = 'gateway' and r.ts_end between s.from_ts and s.to_ts
    union
    select e.session_id from errors as e, touched_spans() as s
    where e.surface = 'gateway' and e.ts between s.from_ts and s.to_ts
),
near_sessions as (
    select session_id from gateway_sessions
    union
    select r.session_id from requests as r, touched_spans() as s
    where exists (select 1 from gateway_sessions) and r.ts_end between s.from_ts and s.to_ts
    union
    select e.session_id from calls as c inner join events as e using (event_id), touched_spans() as s
    where exists (select 1 from gateway_sessions) and c.ts_end between s.from_ts and s.to_ts
)
select session_id from near_sessions
where session_id is not null and session_id not in (select session_id from scope);
