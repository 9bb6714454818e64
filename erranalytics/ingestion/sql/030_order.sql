-- Renumbers the records of a run that come from several sources, in the order in which they were logged.
--
--   event_id  source  record             new event_id
--   1         1       08:00 loading      5
--   2         1       08:10 loaded       7
--   4         2       08:05 waiting      6    new; event 3 was a duplicate of event 1, so this belongs after event 1
--
-- Expects `session_map` (old_id, new_id), runs of the server that are one.
create or replace temp table renumbered as
with record_order as (
    select e.event_id,
        row_number() over (
            order by coalesce(m.new_id, e.session_id), coalesce(a.rank, r.rank), coalesce(a.place, e.event_id),
                a.place is not null, a.line_no, e.event_id
        ) as place
    from events as e
    left join session_map as m on m.old_id = e.session_id
    left join ranks as r on r.session_id = e.session_id
    left join arrivals as a using (event_id)
    where e.session_id in (select old_id from session_map union select new_id from session_map)
)
select event_id, (select max(event_id) from events) + place as new_id from record_order;

update errors set event_id = r.new_id, error_id = r.new_id, request_id = case when errors.request_id is not null
    then r.new_id end,
    call_id = case when errors.call_id is not null then r.new_id end
from renumbered as r where errors.event_id = r.event_id;
update requests set event_id = r.new_id, request_id = r.new_id from renumbered as r
    where requests.event_id = r.event_id;
update requests set answered_by = r.new_id from renumbered as r where requests.answered_by = r.event_id;
update requests set explained_by = r.new_id from renumbered as r where requests.explained_by = r.event_id;
update requests set asked_by = r.new_id from renumbered as r where requests.asked_by = r.event_id;
update calls set event_id = r.new_id, call_id = r.new_id from renumbered as r where calls.event_id = r.event_id;
update calls set request_id = r.new_id from renumbered as r where calls.request_id = r.event_id;
update events set event_id = r.new_id from renumbered as r where events.event_id = r.event_id;
