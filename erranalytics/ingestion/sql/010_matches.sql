-- Matches between the records of the new source and those of stored sources with the same hosts and times.
--
-- A record with its own stamp is identified by the stamp and its text, a record without one by its position after a
-- stamped one. So groups are compared: a stamped record and the records after it, up to the next stamp. Access lines
-- go to another stream than other lines and may interleave differently in a copy, so each chain has its own groups.
--
--   line  record                                      chain    group
--   1     time=…08:00:00 level=ERROR msg=crashed      server   1, by its stamp and text
--   2     goroutine 1 [running]:                      server   1, by its position
--   3     [GIN] 2026/11/20 - 08:00:00 | 500 | …       access   3
--   4     main.main()                                 server   1, although an access line is between them
--   5     time=…08:00:01 level=INFO msg=retry         server   5
--
-- Expects `new_load` (source_id, load_id) and `others` (source_id).
create or replace temp macro chain_of(format) as case
    when format in ('gin', 'gin-trailer') then 'access'
    when format in ('systemd', 'kernel', 'journald-note') then 'system'
    when format in ('nginx-access', 'nginx-error', 'gateway-json', 'gateway-gin', 'gateway-log') then 'gateway'
    else 'server'
end;

create or replace temp table records as
with bounds as (
    select min(ts) - interval 1 minute as from_ts, max(ts) + interval 1 minute as to_ts
    from events where load_id = (select load_id from new_load)
),
selected_records as (
    select *, true as is_new from events where load_id = (select load_id from new_load)
    union all
    select *, false as is_new from events
    where source_id in (select source_id from others) and ts between (select from_ts from bounds)
        and (select to_ts from bounds)
),
record_keys as (
    select
        c.event_id, c.source_id, c.load_id, c.line_no, c.line_count, c.format, c.message, coalesce(c.host, '') as host,
            c.ts, c.session_id, c.is_new,
        chain_of(c.format) as chain,
        case
            when c.format = 'gin' then hash(c.ts, c.message, r.duration_us, r.client_address)
            when c.ts_source = 'slog' then hash(c.ts, c.level, c.component, c.message, c.attrs)
            when c.ts_source in ('go-log', 'json', 'client', 'dump') then hash(c.ts, c.component, c.message)
            when c.ts_source = 'gateway' then hash(c.ts, c.message, c.attrs, r.duration_us, r.client_address)
            when c.format in ('systemd', 'kernel') then hash(date_trunc('second', c.ts), c.message)
        end as key
    from selected_records as c
    left join requests as r on r.event_id = c.event_id
)
select *, last_value(case when key is not null then event_id end ignore nulls)
    over (partition by source_id, host, chain order by line_no, event_id) as anchor_id
from record_keys;

-- Of several equal records, the k-th in one source is the k-th in each copy of it.
create or replace temp table groups as
with key_sums as (
    select is_new, source_id, host, chain, anchor_id,
        min(key) filter (where event_id = anchor_id) as key,
        min(line_no) filter (where event_id = anchor_id) as line_no,
        -- The record after a stamped one distinguishes equal ones; at the end of a copy it may be shorter or missing.
        arg_min(left(message, 200), line_no)
            filter (where key is null and format not in ('unknown', 'foreign', 'powershell-note')) as follower,
        any_value(session_id) filter (where event_id = anchor_id) as session_id,
        count(*) as record_count, sum(line_count) as line_total, max(line_no) as last_line, max(event_id) as last_id
    from records
    group by is_new, source_id, host, chain, anchor_id
),
ends as (
    select source_id, coalesce(host, '') as host, chain_of(format) as chain, max(line_no) as last_line from events
    where source_id in (select source_id from others)
    group by all
)
select s.*, row_number() over (partition by s.is_new, s.host, s.chain, s.key
    order by s.source_id, s.line_no, s.anchor_id) as occurrence,
    count(*) over (partition by s.is_new, s.host, s.chain, s.key) as copy_count,
    -- A copy can cut only the last group of a source short, and only the first group can lack its stamped record.
    coalesce(s.last_line = e.last_line, false) as is_tail,
    min(s.line_no) over (partition by s.source_id, s.host, s.chain) = s.line_no as is_first
from key_sums as s
left join ends as e using (source_id, host, chain);

create or replace temp table pairs as
select n.host, n.chain, n.source_id as new_source, n.anchor_id as new_anchor, n.line_no as new_line,
    n.session_id as new_session, n.is_first as is_new_first,
    o.source_id as old_source, o.anchor_id as old_anchor, o.last_id as old_last, o.line_no as old_line,
        o.session_id as old_session, o.is_first as is_old_first,
    -- Line counts are comparable only in the same wrapper: an entry of a journal export has many lines.
    o.is_tail and (n.record_count > o.record_count or (n.record_count = o.record_count and n.line_total > o.line_total
        and ns.wrapper = os.wrapper)) as is_new_better,
    n.copy_count = o.copy_count as is_even, n.occurrence = o.occurrence as is_same_place,
        n.line_no - o.line_no as distance
from groups as n
inner join groups as o using (host, chain, key)
inner join sources as ns on ns.source_id = n.source_id
inner join sources as os on os.source_id = o.source_id
where n.is_new and not o.is_new and n.key is not null
    and coalesce(starts_with(n.follower, o.follower) or starts_with(o.follower, n.follower), true)
        and (n.occurrence = o.occurrence or n.copy_count <> o.copy_count);

-- Where a copy begins or ends between equal records, the distance in lines decides which of them match:
--
--   stored lines 101, 102, 103 are equal        distances of new line 2: -99, -100, -101
--   new lines      1,   2 are equal             the other groups have distance -101, so 1 = 102 and 2 = 103
create or replace temp table matches as
with distances as (
    select old_source, mode(distance) as distance from pairs where is_even group by old_source
),
measures as (
    select p.*, coalesce(p.distance = d.distance, false) as is_near
    from pairs as p left join distances as d using (old_source)
),
decisions as (
    select *, bool_or(is_near) over (partition by new_anchor) or bool_or(is_near)
        over (partition by old_anchor) as is_decided,
        -- Its follower leaves no other choice.
        count(*) over (partition by new_anchor) = 1 and count(*) over (partition by old_anchor) = 1 as is_only
    from measures
)
select * from decisions where is_even or is_near or ((is_same_place or is_only) and not is_decided);
