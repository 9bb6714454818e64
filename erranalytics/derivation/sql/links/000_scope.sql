-- Sessions of the other side at the time of what was touched: a link may come or go there.
--
-- reads: calls, events, requests, scope, touched_spans
-- writes: scope

insert into scope
with near_sessions as (
    select e.session_id from calls as c inner join events as e using (event_id), touched_spans() as s
    where c.ts_end >= s.from_ts and c.ts_start <= s.to_ts
    union
    select r.session_id from requests as r, touched_spans() as s
    where r.surface = 'ollama' and r.ts_end >= s.from_ts and r.ts_start <= s.to_ts
)
select session_id from near_sessions
where session_id is not null and session_id not in (select session_id from scope);
