-- The rows of the report sessions: which servers ran when, in which version and with which settings, and how did each
-- run end?
create or replace macro report_sessions(period_start, period_end, of_host, of_code) as table
with chosen_runs as (
    select *
    from runs
    where coalesce(ts_end >= period_start, period_start is null)
      and coalesce(coalesce(ts_start, ts_end) < period_end, period_end is null)
      and matches(host, of_host)
      and (of_code is null or session_id in (select session_id from incidents where code = of_code))
),
request_counts as (
    select
        session_id,
        count(*) as n,
        count(*) filter (
            where outcome in ('failed', 'failed_before_first_byte', 'failed_mid_stream')
        ) as bad,
        count(*) filter (where outcome = 'cancelled_by_client') as gone
    from requests
    where is_inference and surface = 'ollama'
    group by session_id
),
code_counts as (
    select session_id, code, any_value(cause) as cause, count(*) as n
    from incidents
    where severity <> 'info'
    group by session_id, code
),
incident_counts as (
    select
        session_id,
        sum(n) as n,
        arg_max(code || ' ' || cause || ' ×' || n, row(n, code)) as top_code
    from code_counts
    group by session_id
),
load_counts as (
    select session_id, count(*) as n, count(*) filter (where outcome in ('failed', 'oom')) as bad
    from model_loads
    group by session_id
),
changed_settings as (
    select session_id, list(name || '=' || value order by name) as list
    from settings
    where not is_default
    group by session_id
),
undated_counts as (
    select session_id, count(*) as n
    from events
    where ts is null
    group by session_id
)
select
    s.ts_start, s.ts_end,
    cast(epoch_us(s.ts_end) - epoch_us(s.ts_start) as bigint) as duration_us,
    s.host, s.version, s.end_reason, s.devices,
    coalesce(a.n, 0) as request_count,
    coalesce(a.bad, 0) as failed_count,
    coalesce(a.gone, 0) as cancelled_count,
    cast(coalesce(h.n, 0) as bigint) as incident_count,
    h.top_code,
    coalesce(l.n, 0) as load_count,
    coalesce(l.bad, 0) as failed_load_count,
    case
        when cardinality(s.config) > 0 then coalesce(c.list, cast([] as varchar[]))
    end as settings,
    coalesce(u.n, 0) as undated_count,
    nullif(
        concat_ws(
            '; ',
            case when s.ts_start is null then 'start not in the log' end,
            case when s.version is null then 'version not in the log' end,
            case when coalesce(cardinality(s.config), 0) = 0 then 'settings not in the log' end,
            case
                when s.end_reason = 'unknown'
                    then 'end not in the log: the last record may be the end of the log'
            end
        ),
        ''
    ) as note,
    s.session_id
from chosen_runs as s
left join request_counts as a on a.session_id = s.session_id
left join incident_counts as h on h.session_id = s.session_id
left join load_counts as l on l.session_id = s.session_id
left join changed_settings as c on c.session_id = s.session_id
left join undated_counts as u on u.session_id = s.session_id;
