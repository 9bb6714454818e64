-- The others in their order: a call takes the first line it may be, a line the call with the fewest lines after it; so
-- as many as possible find one. Run until it finds no more.
--
-- reads: free_pairs
-- writes: links

insert into links
select call_id, request_id, session_id, event_id, first_end, last_end, is_bounded, 'likely'
from (
    select *, row_number() over (partition by call_id order by event_id) as line_place,
        row_number() over (partition by request_id order by last_line_id, last_end, call_id) as call_place
    from (select *, max(event_id) over (partition by call_id) as last_line_id from free_pairs()) as f
) as p
where line_place = 1 and call_place = 1;
