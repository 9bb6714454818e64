-- Problems that repeat without a gap of a minute are one incident; a failed request or call is always an incident of
-- its own.
--
-- reads: problems, reasons
-- writes: folded

insert into folded
-- A missing model file is reported with the name of the file, and then with that of the model; at a start, once for
-- each list of models.
with named_files as (
    select *, nullif(regexp_extract(message, 'sha256-[0-9a-f]{12}'), '') as blob
    from problems
    where role in ('reason', 'alone') and event_id not in (select event_id from reasons)
        and event_id not in (select request_id from reasons)
),
subjects as (
    select *,
        case
            when role <> 'reason' then code
            when blob is not null then blob
            when cause = 'model_capabilities_unknown' and ts - lag(ts) over lines <= interval 1 second
                then coalesce(lag(blob) over lines, code)
            else code
        end as subject
    from named_files
    window lines as (partition by session_id order by event_id)
),
new_marks as (
    select event_id, session_id, subject, surface, settled_id,
        surface <> 'server' or coalesce(ts - lag(ts) over (partition by session_id, subject, surface
            order by event_id) > interval 60 second, true) as is_new
    from subjects
)
select event_id, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
    over (partition by session_id, subject, surface order by event_id) as incident_id
from new_marks
qualify event_id >= getvariable('fold_from');
