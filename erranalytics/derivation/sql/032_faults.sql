-- Which fault each line of a runner, each client that went away and each failed request belongs to.
--
-- reads: faults, problems, reasons, recoveries, starts
-- makes: lines_of_faults, one row per `chain`, `left` or `access` line, with the lines around it
-- makes: chains, one row per `chain` line: its incident
-- makes: leavings, one row per `left` line: its incident
-- makes: victims, one row per `access` line: its incident
-- writes: faults, folded, load_kills

create or replace temp table lines_of_faults as
with lines_and_starts as (
    select p.*, coalesce(v.event_id, 0) as recovery_id, coalesce(s.event_id, 0) as start_id, n.model as next_model
    from problems as p
    asof left join recoveries as v on v.session_id = p.session_id and v.event_id <= p.event_id
    asof left join starts as s on s.session_id = p.session_id and s.event_id <= p.event_id
    asof left join starts as n on n.session_id = p.session_id and n.event_id > p.event_id
    where p.role in ('chain', 'left', 'access') and p.event_id not in (select request_id from reasons)
),
own_starts as (
    -- A server that finds a runner dead starts another one of the same model: so the dead one was the last runner of
    -- that model before.
    select p.*, coalesce(o.event_id, p.start_id) as own_start_id
    from lines_and_starts as p
    asof left join starts as o on o.session_id = p.session_id and o.model = p.next_model and o.event_id <= p.event_id
)
select
    *,
    lag(role) over w as role_before, lead(role) over w as role_after,
    last_value(case when role = 'chain'
        then {'id': event_id, 'ts': ts, 'noticed': is_noticed, 'death': is_death,
        'recovery': recovery_id} end ignore nulls)
        over (w rows between unbounded preceding and 1 preceding) as fault_before,
    last_value(case when role <> 'access'
        then {'id': event_id, 'ts': ts, 'role': role, 'noticed': is_noticed, 'recovery': recovery_id} end ignore nulls)
        over (w rows between unbounded preceding and 1 preceding) as line_before,
    first_value(case when role <> 'access'
        then {'id': event_id, 'ts': ts, 'role': role, 'noticed': is_noticed, 'death': is_death,
        'recovery': recovery_id, 'start': own_start_id} end ignore nulls)
        over (w rows between 1 following and unbounded following) as line_after
from own_starts
window w as (partition by session_id order by event_id);

-- Lines of runners, devices, memory and model files.
create or replace temp table chains as
with new_marks as (
    select event_id, session_id, settled_id,
        coalesce(case
            -- A runner that is found dead, and was not replaced since it failed, is the same death.
            when is_noticed and fault_before.death and fault_before.id > own_start_id
                and ts - fault_before.ts <= interval 5 minute then false
            -- One death fails many requests, each with a line of its own.
            when is_death and fault_before.death and fault_before.id > start_id
                and ts - fault_before.ts <= interval 2 second then false
            when role_before <> 'chain' then true
            when is_noticed and own_start_id > fault_before.id then true
            when fault_before.noticed and start_id > fault_before.id then true
            else ts - fault_before.ts > interval 30 second
                or (recovery_id <> fault_before.recovery and ts - fault_before.ts > interval 500 millisecond)
        end, true) as is_new
    from lines_of_faults where role = 'chain'
)
select event_id, session_id, is_new, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
    over (partition by session_id order by event_id) as incident_id
from new_marks;

-- Clients that leave together leave within a moment. One that leaves while its model is found dead again and again was
-- waiting for that model.
create or replace temp table leavings as
with new_marks as (
    select l.event_id, l.session_id, l.settled_id,
        case when l.role_before = 'chain' and l.line_before.noticed and l.start_id <= l.line_before.id
            and l.ts - l.line_before.ts <= interval 2 second then c.incident_id end as waited_id,
        coalesce(l.line_before.role <> 'left' or l.ts - l.line_before.ts > interval 2 second, true) as is_new
    from lines_of_faults as l left join chains as c on c.event_id = l.line_before.id
    where l.role = 'left'
)
select event_id, session_id,
    last_value(coalesce(settled_id, waited_id, case when is_new then event_id end) ignore nulls)
        over (partition by session_id order by event_id) as incident_id
from new_marks;

-- Requests that failed without a reason. Access lines have whole seconds: a request was surely running at a fault when
-- it began a second before.
create or replace temp table victims as
with suspicions as (
    select *,
        line_before.role = 'chain' and ts - line_before.ts <= interval 10 second
            and (duration_us >= 1000 or event_id - line_before.id <= 3) and case
            -- A request that finds a runner dead gets another one.
            when began + interval 1 second <= line_before.ts
                then not (line_before.noticed and start_id > line_before.id)
            -- The victim follows its fault directly, and so do requests that waited as long.
            else began <= line_before.ts and start_id < line_before.id
                and (role_before = 'chain' or (duration_us >= 10000 and ts - line_before.ts <= interval 1 second))
        end as is_victim,
        line_before.role = 'left' and case
            when status = 499 then ts - line_before.ts <= interval 10 second
            else began <= line_before.ts and ts - line_before.ts <= interval 2 second and start_id < line_before.id
                and recovery_id = line_before.recovery
        end as is_leaving,
        -- A request may fail before the fault is logged: by a moment, or until a request finds the runner dead. A
        -- request that is refused at once never reached a runner.
        status = 500 and duration_us >= 10000 and case
            when line_after.role = 'left' then line_after.ts - ts <= interval 1 second
            when line_after.noticed then line_after.start < event_id and line_after.recovery < event_id
                and line_after.ts - ts <= interval 30 second
            else line_after.death and role_after = 'chain' and line_after.recovery < event_id
                and line_after.ts - ts <= interval 1 second
        end as is_early
    from lines_of_faults where role = 'access'
),
fault_choices as (
    select *,
        case
            when is_victim or is_leaving then line_before.id
            when is_early and max(ts) filter (where is_early)
                over (partition by session_id, line_after.id) - ts <= interval 1 second then line_after.id
        end as line_id
    from suspicions
)
select
    v.event_id, v.session_id,
    coalesce(v.settled_id, case when v.line_id = v.line_after.id and not (c.is_new or v.line_after.noticed)
        then v.event_id end, c.incident_id, l.incident_id, v.event_id) as incident_id
from fault_choices as v
left join chains as c on c.event_id = v.line_id
left join leavings as l on l.event_id = v.line_id;

insert into faults
select f.event_id, f.session_id, f.incident_id, p.ts
from (
    select event_id, session_id, incident_id from chains
    union all
    select event_id, session_id, incident_id from leavings
    union all
    select event_id, session_id, incident_id from victims
) as f
inner join problems as p using (event_id);

insert into folded
select event_id, incident_id from faults where event_id >= getvariable('fold_from');

-- A runner that is found dead before it was ready was killed while it loaded its model.
insert into load_kills
select l.event_id
from lines_of_faults as l
asof left join (select * from recoveries where is_ready) as v on v.session_id = l.session_id
    and v.event_id < l.event_id
where l.is_noticed and l.cause = 'runner_killed' and l.own_start_id > coalesce(v.event_id, 0);
