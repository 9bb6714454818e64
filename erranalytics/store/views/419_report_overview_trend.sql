-- The rows of the report overview-trend: is it getting worse, and where does memory run out?
create or replace macro report_overview_trend(period_start, period_end, of_host) as table
with logs as (
    select
        min(first_ts) as first_ts,
        cast(period_start as timestamptz) as since,
        coalesce(period_end, max(last_ts) + interval '1' microsecond) as until
    from sources
    where matches(host, of_host)
),
bounds as (
    select *, until - length as begun, until - length - length as before
    from (
        select
            *,
            case
                when since is not null then until - since
                when first_ts <= until - interval '14' day then interval '7' day
                when first_ts <= until - interval '2' day then interval '1' day
                when first_ts <= until - interval '2' hour then interval '1' hour
            end as length
        from logs
    ) as l
),
failures as (
    select i.*, c.category, c.title
    from incidents as i
    left join causes as c on c.code = i.code
    left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('error', 'critical')
      and matches(s.host, of_host)
      and coalesce(i.first_ts < period_end, period_end is null)
),
counts as (
    select
        count(*) filter (where f.first_ts >= b.begun and f.first_ts < b.until) as n,
        case
            when any_value(b.first_ts) <= any_value(b.before)
                then count(*) filter (where f.first_ts >= b.before and f.first_ts < b.begun)
        end as old
    from bounds as b
    left join failures as f on true
),
new_codes as (
    select array_agg(code order by code) as codes
    from (
        select f.code
        from failures as f
        cross join bounds as b
        group by f.code
        having min(f.first_ts) >= any_value(b.begun) and any_value(b.first_ts) < any_value(b.begun)
    ) as c
),
oom_incidents as (
    select *, count(*) over (partition by code) as n
    from failures
    where category = 'memory' and coalesce(first_ts >= period_start, period_start is null)
),
top as (select * from oom_incidents order by n desc, code limit 1),
oom_models as (
    select model
    from (select unnest(models) as model from oom_incidents) as m
    group by model
    order by count(*) desc, model
    limit 1
)
select
    extract(epoch from b.length) / 3600 as hours,
    c.n as last_count, c.old as before_count,
    case
        when c.n - c.old > 1.959963984540054 * sqrt(c.n + c.old) then 'worse'
        when c.old - c.n > 1.959963984540054 * sqrt(c.n + c.old) then 'better'
        when c.old is not null then 'same'
    end as trend,
    f.codes as new_codes,
    (select count(*) from oom_incidents) as oom_count,
    t.code as oom_code, t.n as oom_code_count, t.title as oom_title,
    (select model from oom_models) as oom_model,
    (select max(last_ts) from oom_incidents) as oom_last_ts
from bounds as b
cross join counts as c
cross join new_codes as f
left join top as t on true;
