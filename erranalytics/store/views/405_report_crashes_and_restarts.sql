-- The rows of the report crashes-and-restarts: when did a runner or the server die or start again, why, what did it
-- take with it, and how long until it was back?
create or replace macro report_crashes_and_restarts(
    period_start, period_end, of_host, of_model, of_code, of_kind
) as table
select
    c.ts, c.kind, c.code, k.title as cause,
    coalesce(
        case when c.signal is not null then 'signal ' || c.signal end,
        case when c.exit_code is not null then 'exit status ' || c.exit_code end
    ) as ended_by,
    c.model,
    case
        when c.incident_id is not null then greatest(c.request_count, c.call_count)
    end as lost_count,
    case when starts_with(c.kind, 'runner') then c.suspected_count end as suspected_count,
    coalesce(i.sides, 'server') as seen_by,
    case when not starts_with(c.kind, 'runner') then c.restart_count end as restart_count,
    nullif(cast(epoch_us(c.last_ts) - epoch_us(c.ts) as bigint), 0) as lasted_us,
    case
        when c.back_ts >= c.ts then cast(epoch_us(c.back_ts) - epoch_us(c.ts) as bigint)
    end as back_us,
    s.host, s.version,
    split_part(k.remedy, '. ', 1) as remedy,
    c.incident_id, c.session_id, c.event_id
from crashes as c
left join causes as k on k.code = c.code
left join incidents as i on i.incident_id = c.incident_id
left join server_sessions as s on s.session_id = c.session_id
where in_period(c.ts, period_start, period_end)
  and matches(s.host, of_host)
  and (of_model is null or of_model = c.model or of_model = any(i.models))
  and matches(c.code, of_code)
  and (of_kind is null or (of_kind = 'runner') = starts_with(c.kind, 'runner'));
