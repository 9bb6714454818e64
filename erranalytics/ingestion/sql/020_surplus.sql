-- Stretches of records without a stamp of their own, between stamped ones, as they stand in the store, whatever the
-- source.
create or replace temp table stored as
select *,
    last_value(case when key is not null then event_id end ignore nulls) over run_of as from_id,
    first_value(case when key is not null then event_id end ignore nulls)
        over (run_of rows between current row and unbounded following) as to_id
from pieces where not is_new
window run_of as (partition by host, chain, session_id order by event_id);

create or replace temp table stretches as
select to_id, sum(line_count) as line_total, bool_or(from_id is not null) as is_closed
from stored where key is null and to_id is not null
group by to_id;

-- What stands before the first stamp of the new source is the end of a stretch; who has more of it keeps it.
create or replace temp table heads as
select m.new_source, m.host, m.chain, m.old_anchor, m.is_new_first,
    m.is_new_first and (m.old_line >= m.new_line or t.line_total >= h.line_total) as is_new_surplus,
    not m.is_new_first or h.line_total > t.line_total as is_old_surplus
from matches as m
left join groups as h on h.is_new and h.source_id = m.new_source and h.host = m.host and h.chain = m.chain
    and h.anchor_id is null
left join stretches as t on t.to_id = m.old_anchor;

-- Which records go: of two copies of a group the shorter, else the later one.
create or replace temp table surplus as
with losing as (
    select new_source as source_id, host, chain, new_anchor as anchor_id from matches where not is_new_better
    union all
    select old_source, host, chain, old_anchor from matches where is_new_better
    union all
    select new_source, host, chain, null from heads where is_new_surplus
),
gone as (
    select p.event_id from pieces as p
    semi join losing as l on p.source_id = l.source_id and p.host = l.host and p.chain = l.chain
        and p.anchor_id is not distinct from l.anchor_id
    union
    -- The beginning of a piece, of which the new source has all.
    select s.event_id from stored as s
    inner join heads as h on h.old_anchor = s.to_id
    where s.anchor_id is null and h.is_old_surplus
)
select p.event_id, p.load_id, p.line_count, p.is_new, p.ts, p.session_id
from pieces as p
inner join gone using (event_id);

-- Stored runs in the order of time: pieces of one run may have come in any order.
create or replace temp table ranks as
select session_id,
    -- An access line has whole seconds: it, and what inherits from it, tells a time too early.
    row_number() over (order by coalesce(min(ts) filter (where ts_source not in ('gin+offset', 'inherited', 'file')),
        min(ts)), min(event_id)) as rank
from events
where session_id in (select old_session from matches union select new_session from matches)
    and load_id <> (select load_id from newcomer)
group by session_id;

-- Where the other new records belong: behind the stored copy of what stands before them, else before that of what
-- follows.
create or replace temp table arrivals as
with copies as (
    select p.event_id, p.line_no, s.event_id is null as is_kept,
        case when s.event_id is not null and m.old_last is not null
            then {'rank': r.rank, 'id': m.old_last} end as copy_end,
        case when s.event_id is not null and m.old_last is not null
            then {'rank': r.rank, 'id': m.old_anchor} end as copy_start
    from pieces as p
    left join surplus as s using (event_id)
    left join matches as m on m.new_anchor = p.anchor_id
    left join ranks as r on r.session_id = m.old_session
    where p.is_new
),
placed as (
    select event_id, line_no, is_kept,
        max(copy_end) over (order by line_no, event_id) as before_it,
        min(copy_start) over (order by line_no, event_id rows between current row and unbounded following) as behind_it
    from copies
),
-- A source that has grown goes on behind what it brought before.
own as (
    select {'rank': max(r.rank), 'id': max(e.event_id)} as last_own
    from events as e
    inner join newcomer as n on n.source_id = e.source_id and n.load_id <> e.load_id
    inner join ranks as r using (session_id)
)
select p.event_id, p.line_no,
    coalesce(p.before_it.rank, o.last_own.rank, p.behind_it.rank, 9223372036854775807) as rank,
    coalesce(p.before_it.id, o.last_own.id, p.behind_it.id - 1, 9223372036854775807) as place
from placed as p cross join own as o
where p.is_kept;

update templates set event_count = templates.event_count - gone.event_count
from (select e.template_id, count(*) as event_count from events as e semi join surplus as s on e.event_id = s.event_id
    and not s.is_new group by e.template_id) as gone
where templates.template_id = gone.template_id;

update loads set duplicate_count = loads.duplicate_count + gone.line_count,
    event_count = loads.event_count - gone.event_count
from (select load_id, sum(line_count) as line_count, count(*) as event_count from surplus where not is_new
    group by load_id) as gone
where loads.load_id = gone.load_id;

delete from events where event_id in (select event_id from surplus);
delete from errors where event_id in (select event_id from surplus);
delete from requests where event_id in (select event_id from surplus);
delete from calls where event_id in (select event_id from surplus);
