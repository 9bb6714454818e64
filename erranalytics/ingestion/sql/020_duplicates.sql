-- Removes the duplicates among the matches, and finds the places of the other new records.
--
-- Records without a stamp between stamped ones, as they are in the store, from any source.
create or replace temp table stored as
select *,
    last_value(case when key is not null then event_id end ignore nulls) over session_order as from_id,
    first_value(case when key is not null then event_id end ignore nulls)
        over (session_order rows between current row and unbounded following) as to_id
from records where not is_new
window session_order as (partition by host, chain, session_id order by event_id);

create or replace temp table unstamped as
select to_id, sum(line_count) as line_total, bool_or(from_id is not null) as is_closed
from stored where key is null and to_id is not null
group by to_id;

-- The new records before the first stamp are the end of such records in a stored source; the longer copy is kept.
create or replace temp table heads as
select m.new_source, m.host, m.chain, m.old_anchor, m.is_new_first,
    m.is_new_first and (m.old_line >= m.new_line or t.line_total >= h.line_total) as is_new_duplicate,
    not m.is_new_first or h.line_total > t.line_total as is_old_duplicate
from matches as m
left join groups as h on h.is_new and h.source_id = m.new_source and h.host = m.host and h.chain = m.chain
    and h.anchor_id is null
left join unstamped as t on t.to_id = m.old_anchor;

-- The records to remove: the shorter copy of a group, or the new one if both are equally long.
--
--   stored source, cut after line 2      new source                      removed
--                                        1  07:59 msg=z
--   1  08:00 msg=a                       2  08:00 msg=a                  new 2: an equal copy
--   2  08:01 msg=b                       3  08:01 msg=b                  stored 2: its copy has a record more
--                                        4  goroutine 1 [running]:
create or replace temp table duplicates as
with shorter_copies as (
    select new_source as source_id, host, chain, new_anchor as anchor_id from matches where not is_new_better
    union all
    select old_source, host, chain, old_anchor from matches where is_new_better
    union all
    select new_source, host, chain, null from heads where is_new_duplicate
),
removals as (
    select p.event_id from records as p
    semi join shorter_copies as l on p.source_id = l.source_id and p.host = l.host and p.chain = l.chain
        and p.anchor_id is not distinct from l.anchor_id
    union
    -- The beginning of a stored source, which the new source has in full.
    select s.event_id from stored as s
    inner join heads as h on h.old_anchor = s.to_id
    where s.anchor_id is null and h.is_old_duplicate
)
select p.event_id, p.load_id, p.line_count, p.is_new, p.ts, p.session_id
from records as p
inner join removals using (event_id);

-- The stored runs of the server by time: the pieces of one run may have been loaded in any order.
create or replace temp table ranks as
select session_id,
    -- An access line has whole seconds, so its time, and any that is inherited from it, may be too early.
    row_number() over (order by coalesce(min(ts) filter (where ts_source not in ('gin+offset', 'inherited', 'file')),
        min(ts)), min(event_id)) as rank
from events
where session_id in (select old_session from matches union select new_session from matches)
    and load_id <> (select load_id from new_load)
group by session_id;

-- The places of the other new records: after the stored copy of the record before them, else before the stored copy of
-- the record after them.
create or replace temp table arrivals as
with copies as (
    select p.event_id, p.line_no, s.event_id is null as is_kept,
        case when s.event_id is not null and m.old_last is not null
            then {'rank': r.rank, 'id': m.old_last} end as copy_end,
        case when s.event_id is not null and m.old_last is not null
            then {'rank': r.rank, 'id': m.old_anchor} end as copy_start
    from records as p
    left join duplicates as s using (event_id)
    left join matches as m on m.new_anchor = p.anchor_id
    left join ranks as r on r.session_id = m.old_session
    where p.is_new
),
record_places as (
    select event_id, line_no, is_kept,
        max(copy_end) over (order by line_no, event_id) as previous_copy,
        min(copy_start) over (order by line_no, event_id rows between current row and unbounded following) as next_copy
    from copies
),
-- The new records of a grown source come after its stored ones.
own_records as (
    select {'rank': max(r.rank), 'id': max(e.event_id)} as last_own
    from events as e
    inner join new_load as n on n.source_id = e.source_id and n.load_id <> e.load_id
    inner join ranks as r using (session_id)
)
select p.event_id, p.line_no,
    coalesce(p.previous_copy.rank, o.last_own.rank, p.next_copy.rank, 9223372036854775807) as rank,
    coalesce(p.previous_copy.id, o.last_own.id, p.next_copy.id - 1, 9223372036854775807) as place
from record_places as p cross join own_records as o
where p.is_kept;

update templates set event_count = templates.event_count - removals.event_count
from (
    select e.template_id, count(*) as event_count from events as e
    semi join duplicates as s on e.event_id = s.event_id and not s.is_new
    group by e.template_id
) as removals
where templates.template_id = removals.template_id;

update loads set duplicate_count = loads.duplicate_count + removals.line_count,
    event_count = loads.event_count - removals.event_count
from (select load_id, sum(line_count) as line_count, count(*) as event_count from duplicates where not is_new
    group by load_id) as removals
where loads.load_id = removals.load_id;

delete from events where event_id in (select event_id from duplicates);
delete from errors where event_id in (select event_id from duplicates);
delete from requests where event_id in (select event_id from duplicates);
delete from calls where event_id in (select event_id from duplicates);
