-- A server that ends and is started again and again is one incident, until it ends for another reason. The pauses
-- between its starts grow to five minutes.
--
-- reads: problems
-- writes: folded

insert into folded
with restarts as (
    select *, coalesce(ts - lag(ts) over lines > interval 6 minute, true) as is_apart,
        case when cause not in ('systemd_exit', 'systemd_restart', 'app_server_crash') then code end as reason
    from problems where role = 'restart'
    window lines as (partition by stream_id order by event_id)
),
loops as (
    select *, sum(is_apart::int) over (partition by stream_id order by event_id) as loop_no from restarts
),
new_marks as (
    select *,
        is_apart or coalesce(reason <> last_value(reason ignore nulls) over (partition by stream_id, loop_no
            order by event_id rows between unbounded preceding and 1 preceding), false) as is_new
    from loops
)
select event_id, last_value(coalesce(settled_id, case when is_new then event_id end) ignore nulls)
    over (partition by stream_id order by event_id) as incident_id
from new_marks
qualify event_id >= getvariable('fold_from');
