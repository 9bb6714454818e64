-- The incident of every other problem, and of all together: `folded`.
create or replace temp table folded as
-- A request and what tells its reason are one.
with told as (
    select p.event_id, p.session_id, p.settled_id, r.request_id
    from problems as p inner join (select event_id, request_id from reasons
        union select request_id as event_id, request_id from reasons) as r using (event_id)
),
requests_told as (
    select event_id, coalesce(settled_id, min(coalesce(settled_id, event_id))
        over (partition by session_id, request_id)) as incident_id from told
),
-- The file of a model that is gone is told with its name, and then that of the model; at a start, once for each list of
-- models.
named as (
    select *, nullif(regexp_extract(message, 'sha256-[0-9a-f]{12}'), '') as blob
    from problems
    where role in ('told', 'alone') and event_id not in (select event_id from told)
),
subjects as (
    select *,
        case
            when role <> 'told' then code
            when blob is not null then blob
            when cause = 'model_capabilities_unknown' and ts - lag(ts) over w <= interval 1 second
                then coalesce(lag(blob) over w, code)
            else code
        end as subject
    from named
    window w as (partition by session_id order by event_id)
),
-- What repeats without a gap of a minute is one incident; a failed request or call is always one of its own.
repeats as (
    select event_id, session_id, subject, surface, settled_id,
        coalesce(ts - lag(ts) over (partition by session_id, subject, surface order by event_id) > interval 60 second,
            true)
            or surface <> 'server' as is_new
    from subjects
),
-- A server that ends and is started again and again is one incident; the pauses between its starts grow to five
-- minutes.
restarts as (
    select *, coalesce(ts - lag(ts) over w > interval 6 minute, true) as is_apart,
        case when cause not in ('systemd_exit', 'systemd_restart', 'app_server_crash') then code end as reason
    from problems where role = 'restart'
    window w as (partition by stream_id order by event_id)
),
loops as (
    select *, sum(is_apart::int) over (partition by stream_id order by event_id) as loop_no from restarts
),
reasoned as (
    select *,
        is_apart or coalesce(reason <> last_value(reason ignore nulls)
            over (partition by stream_id, loop_no order by event_id rows between unbounded preceding and 1 preceding),
            false) as is_new
    from loops
),
-- A program says several times that a call failed, and tries again at once; where its log tells no time, lines that
-- stand together belong together. What it says in the second of a fault in the same log is an echo of that.
clients as (
    select p.event_id, p.session_id, p.ts, p.settled_id, r.fingerprint, r.message, e.format,
        coalesce(e.component, '') as component, s.first_ts < s.last_ts as is_dated,
        coalesce(case when s.first_ts < s.last_ts then p.ts - lag(p.ts) over w > interval 3 second
            else p.event_id - lag(p.event_id) over w > 3 end, true)
        -- A request behind what was said of the one before is another call.
        or (p.is_wire and not lag(p.is_wire) over w) as is_apart,
        -- An operation of the Go client and a command of curl are one call each; a record with its whole exception
        -- tells of one.
        list_contains(getvariable('call_formats'), e.format) as is_call,
        -- Two layers of a program say at once, in their words, what one of them was told; so it does behind the
        -- request.
        coalesce(lag(p.is_wire) over w and not p.is_wire, false) or coalesce(s.first_ts < s.last_ts
            and r.message = lag(r.message) over w and r.fingerprint <> lag(r.fingerprint) over w
            and p.event_id - lag(p.event_id) over w = 1 and p.ts - lag(p.ts)
                over w <= interval 100 millisecond, false) as is_retold,
        coalesce(regexp_matches(e.attrs, 'Traceback \(most recent|(?:"|\\n|\\t) *at \S|Caused by: '), false) as is_whole
    from problems as p
    inner join sources as s using (source_id)
    inner join errors as r on r.event_id = p.event_id
    inner join events as e on e.event_id = p.event_id
    where p.role = 'client'
    window w as (partition by p.session_id order by p.event_id)
),
client_bursts as (
    select *, sum(is_apart::int) over (partition by session_id order by event_id) as burst_no from clients
),
tellings as (
    select *,
        last_value(case when is_whole then {'ts': ts, 'message': message, 'fingerprint': fingerprint,
            'format': format} end ignore nulls)
            over (partition by session_id, burst_no order by event_id rows between unbounded preceding
                and 1 preceding) as whole_before
    from client_bursts
),
-- One failure is told whole twice only by two statements, at once, in the same words; an exception that is printed bare
-- is no statement.
-- The aggregator of Spring AI states a failure once for each layer of a stream, and Tomcat the innermost cause of what
-- was stated before.
told_apart as (
    select * exclude (whole_before, is_apart),
        is_apart or (is_call and not is_retold)
            or coalesce(is_whole and not (ts - whole_before.ts <= interval 100 millisecond
            and (message = whole_before.message or ends_with(component, '[dispatcherServlet]'))
            and (fingerprint <> whole_before.fingerprint or ends_with(component, 'ai.chat.model.MessageAggregator'))
            and not (format = 'client-error' and whole_before.format = 'client-error')), false)
            and whole_before is not null as is_new
    from tellings
),
calls as (
    select *, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
        over (partition by session_id order by event_id) as call_id
    from told_apart
),
echoes as (
    select c.call_id, any_value(i.incident_id) as incident_id
    from calls as c
    asof inner join faults as i on i.session_id = c.session_id and i.event_id < c.event_id
    where c.call_id = c.event_id and c.is_dated and c.ts - i.ts between interval 0 second and interval 1 second
    group by c.call_id
),
gathered as (
    select event_id, incident_id from faults
    union all
    select event_id, incident_id from requests_told
    union all
    select c.event_id, coalesce(e.incident_id, c.call_id) from calls as c left join echoes as e using (call_id)
    union all
    select event_id, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
        over (partition by session_id, subject, surface order by event_id)
    from repeats
    union all
    select event_id, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
        over (partition by stream_id order by event_id)
    from reasoned
)
select event_id, incident_id from gathered where event_id >= getvariable('fold_from');
