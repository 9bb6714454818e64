-- Which lines of a program's log are of one call that failed.
--
-- A program reports several times that a call failed, and tries again at once. Where its log has no times, lines that
-- follow each other closely belong together. A report within a second of a fault in the same log is an echo of that
-- fault.
--
-- reads: errors, events, faults, problems, sources
-- writes: folded

insert into folded
with client_lines as (
    select p.event_id, p.session_id, p.ts, p.settled_id, r.fingerprint, r.message, e.format,
        coalesce(e.component, '') as component, s.first_ts < s.last_ts as is_dated,
        coalesce(case when s.first_ts < s.last_ts then p.ts - lag(p.ts) over lines > interval 3 second
            else p.event_id - lag(p.event_id) over lines > 3 end, true)
        -- A request after a report of the one before is another call.
        or (p.is_wire and not lag(p.is_wire) over lines) as is_apart,
        -- An operation of the Go client and a command of curl are one call each; a record with its whole exception
        -- is of one call.
        list_contains(getvariable('call_formats'), e.format) as is_call,
        -- Two layers of a program report one failure at once, each in its own words; so does a program after the
        -- request.
        coalesce(lag(p.is_wire) over lines and not p.is_wire, false) or coalesce(s.first_ts < s.last_ts
            and r.message = lag(r.message) over lines and r.fingerprint <> lag(r.fingerprint) over lines
            and p.event_id - lag(p.event_id) over lines = 1
            and p.ts - lag(p.ts) over lines <= interval 100 millisecond, false) as is_restated,
        coalesce(regexp_matches(e.attrs, 'Traceback \(most recent|(?:"|\\n|\\t) *at \S|Caused by: '), false) as is_whole
    from problems as p
    inner join sources as s using (source_id)
    inner join errors as r on r.event_id = p.event_id
    inner join events as e on e.event_id = p.event_id
    where p.role = 'client'
    window lines as (partition by p.session_id order by p.event_id)
),
bursts as (
    select *, sum(is_apart::int) over (partition by session_id order by event_id) as burst_no from client_lines
),
statements as (
    select *,
        last_value(case when is_whole then {'ts': ts, 'message': message, 'fingerprint': fingerprint,
            'format': format} end ignore nulls)
            over (partition by session_id, burst_no order by event_id rows between unbounded preceding
                and 1 preceding) as whole_before
    from bursts
),
-- Only two statements can report one failure twice with its exception: at once, in the same words. An exception that
-- is printed bare is not a statement. The aggregator of Spring AI states a failure once for each layer of a stream,
-- and Tomcat the innermost cause of what was stated before.
new_marks as (
    select event_id, session_id, ts, settled_id, is_dated,
        is_apart or (is_call and not is_restated)
            or coalesce(is_whole and not (ts - whole_before.ts <= interval 100 millisecond
            and (message = whole_before.message or ends_with(component, '[dispatcherServlet]'))
            and (fingerprint <> whole_before.fingerprint or ends_with(component, 'ai.chat.model.MessageAggregator'))
            and not (format = 'client-error' and whole_before.format = 'client-error')), false)
            and whole_before is not null as is_new
    from statements
),
failures as (
    select event_id, session_id, ts, is_dated, last_value(coalesce(settled_id, case when is_new then event_id end)
        ignore nulls) over (partition by session_id order by event_id) as failure_id
    from new_marks
),
echoes as (
    select f.failure_id, any_value(i.incident_id) as incident_id
    from failures as f
    asof inner join faults as i on i.session_id = f.session_id and i.event_id < f.event_id
    where f.failure_id = f.event_id and f.is_dated and f.ts - i.ts between interval 0 second and interval 1 second
    group by f.failure_id
)
select f.event_id, coalesce(e.incident_id, f.failure_id) as incident_id
from failures as f
left join echoes as e using (failure_id)
where f.event_id >= getvariable('fold_from');
