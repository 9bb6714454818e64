-- The rows of the report unknown-errors: which lines look like problems and match no rule?
create or replace macro report_unknown_errors(period_start, period_end, of_host, least_count) as table
with problems as (
    select *
    from unknown_problems as e
    where in_period(e.ts, period_start, period_end) and matches(e.host, of_host)
),
counts as (
    select
        s.template_id,
        count(*) as event_count,
        min(s.format) as format,
        min(s.ts) as first_ts,
        max(s.ts) as last_ts,
        max(
            case s.level
                when 'FATAL' then 5
                when 'CRITICAL' then 5
                when 'ERROR' then 4
                when 'WARNING' then 3
                when 'WARN' then 3
                when 'INFO' then 2
                when 'DEBUG' then 1
            end
        ) as worst,
        arg_min(r.version, s.event_id) as first_version,
        arg_max(r.version, s.event_id) as last_version,
        list_sort(list(distinct s.host) filter (where s.host is not null)) as hosts,
        min(s.event_id) as event_id
    from problems as s
    left join server_sessions as r on r.session_id = s.session_id
    group by s.template_id
),
examples as (
    select
        event_id,
        message || coalesce(' error=' || json_extract_string(attrs, '$.error'), '') as example
    from events
    where event_id in (select event_id from counts)
)
select
    c.event_count, t.template,
    case c.worst
        when 5 then 'FATAL'
        when 4 then 'ERROR'
        when 3 then 'WARN'
        when 2 then 'INFO'
        when 1 then 'DEBUG'
    end as level,
    c.format, c.first_ts, c.last_ts,
    case
        when sum(c.event_count) over () >= least_count
            then cast(c.event_count as double) / sum(c.event_count) over ()
    end as share,
    c.first_version, c.last_version, c.hosts,
    shortened(x.example) as example,
    t.fingerprint
from counts as c
inner join templates as t on t.template_id = c.template_id
inner join examples as x on x.event_id = c.event_id;
