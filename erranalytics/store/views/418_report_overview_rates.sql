-- The rows of the report overview-rates: how often does it fail, and is it getting worse?
create or replace macro report_overview_rates(period_start, period_end, of_host, least_count) as table
with bounds as (
    select since, until, since - (until - since) as before, first_ts
    from (
        select
            cast(period_start as timestamptz) as since,
            coalesce(period_end, max(last_ts) + interval '1' microsecond) as until,
            min(first_ts) as first_ts
        from sources
        where matches(host, of_host)
    ) as p
),
-- counted by run first: a busy server has millions of requests but few runs
outcomes_by_run as (
    select
        'requests_failed' as metric, r.session_id,
        coalesce(r.ts_end < b.since, false) as earlier,
        case when r.outcome like 'failed%' then 'bad' else 'good' end as what,
        false as suspected,
        count(*) as n
    from requests as r
    cross join bounds as b
    where r.is_inference
      and r.surface = 'ollama'
      and coalesce(r.ts_end >= b.before, b.since is null)
      and coalesce(r.ts_end < b.until, b.since is null)
    group by 1, 2, 3, 4, 5
    union all
    select
        'streams_failed', t.session_id,
        coalesce(t.ts_end < b.since, false),
        case when t.stream_outcome like 'failed%' then 'bad' else t.stream_outcome end,
        t.is_suspected and t.stream_outcome = 'not_observable',
        count(*)
    from streams as t
    cross join bounds as b
    where coalesce(t.ts_end >= b.before, b.since is null)
      and coalesce(t.ts_end < b.until, b.since is null)
    group by 1, 2, 3, 4, 5
    union all
    select
        'oom_incidents', i.session_id,
        coalesce(i.first_ts < b.since, false),
        'bad', false,
        count(*)
    from incidents as i
    inner join causes as c on c.code = i.code and c.category = 'memory' and i.severity <> 'warning'
    cross join bounds as b  -- a partial offload is not an OOM
    where coalesce(i.first_ts >= b.before, b.since is null)
      and coalesce(i.first_ts < b.until, b.since is null)
    group by 1, 2, 3, 4, 5
),
host_outcomes as (
    select h.*
    from outcomes_by_run as h
    left join server_sessions as s on s.session_id = h.session_id
    where matches(s.host, of_host)
),
counts as (
    select
        m.metric, m.place,
        coalesce(
            sum(t.n) filter (where t.what in ('bad', 'truncated') and not t.earlier),
            0
        ) as bad,
        coalesce(sum(t.n) filter (where t.what <> 'cancelled_by_client' and not t.earlier), 0) as n,
        case
            when any_value(b.first_ts) <= any_value(b.before)
                then coalesce(
                    sum(t.n) filter (where t.what in ('bad', 'truncated') and t.earlier),
                    0
                )
        end as old_bad,
        case
            when any_value(b.first_ts) <= any_value(b.before)
                then coalesce(
                    sum(t.n) filter (where t.what <> 'cancelled_by_client' and t.earlier),
                    0
                )
        end as old_n,
        coalesce(
            sum(t.n) filter (where t.what in ('bad', 'truncated', 'completed') and not t.earlier),
            0
        ) as known,
        coalesce(sum(t.n) filter (where t.what = 'truncated' and not t.earlier), 0) as truncated,
        coalesce(
            sum(t.n) filter (where t.what = 'cancelled_by_client' and not t.earlier),
            0
        ) as cancelled,
        coalesce(sum(t.n) filter (where t.suspected and not t.earlier), 0) as suspected
    from (
        values ('requests_failed', 1),
        ('streams_failed', 2), ('oom_incidents', 3)
    ) as m (metric, place)
    cross join bounds as b
    left join host_outcomes as t on t.metric = m.metric
    group by m.metric, m.place
),
rates as (
    select
        *,
        case when place < 3 and n >= greatest(least_count, 1) then bad / cast(n as double) end as p,
        case
            when place < 3 and old_n >= greatest(least_count, 1)
                then old_bad / cast(old_n as double)
        end as q,
        (bad + old_bad) / cast(nullif(n + old_n, 0) as double) as pooled
    from counts
),
-- d: failures above the common rate of both periods, in standard errors
trends as (
    select
        *,
        case when p is not null then wilson_low(bad, n) end as low,
        case when p is not null then wilson_high(bad, n) end as high,
        case
            when place = 3 then (bad - old_bad) / sqrt(nullif(bad + old_bad, 0))
            else (p - q) / sqrt(
                nullif(pooled * (1 - pooled) * (1.0 / n + 1.0 / nullif(old_n, 0)), 0)
            )
        end as d
    from rates
)
select
    metric,
    cast(bad as bigint) as bad_count,
    cast(case when place < 3 then n end as bigint) as all_count,
    p as rate, low as rate_low, high as rate_high,
    cast(old_bad as bigint) as before_bad_count,
    cast(case when place < 3 then old_n end as bigint) as before_all_count,
    q as before_rate,
    case
        when d > 1.959963984540054 then 'worse'
        when d < -1.959963984540054 then 'better'
        when d is not null or (bad = 0 and old_bad = 0) then 'same'
    end as trend,
    cast(case when place = 2 then known end as bigint) as known_count,
    cast(case when place = 2 then truncated end as bigint) as truncated_count,
    cast(case when place = 2 then cancelled end as bigint) as cancelled_count,
    cast(case when place = 2 then suspected end as bigint) as suspected_count,
    place
from trends;
