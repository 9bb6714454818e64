-- Calls and lines that have only each other. Each such link bounds its neighbours, so this is run until it finds no
-- more.
--
-- reads: free_pairs
-- writes: links

insert into links
select call_id, request_id, session_id, event_id, first_end, last_end, is_bounded, 'certain'
from (select *, count(*) over (partition by call_id) as line_count, count(*)
    over (partition by request_id) as call_count from free_pairs()) as p
where line_count = 1 and call_count = 1;
