-- ---
-- name     = "overview-rates"
-- title    = "Rates"
-- question = "How often does it fail, and is it getting worse?"
-- part     = true
-- common   = ["since", "until", "host", "min_count"]
-- columns  = [
--   {name = "metric", type = "varchar", meaning = "requests_failed, streams_failed (of those not cancelled), oom_incidents (no denominator, without warnings)"},
--   {name = "bad_count", type = "bigint", meaning = "Numerator"},
--   {name = "all_count", type = "bigint", meaning = "Denominator"},
--   {name = "rate", type = "double", unit = "share", meaning = "bad_count of all_count; empty below --min-count"},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of its 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of it"},
--   {name = "before_bad_count", type = "bigint", meaning = "Numerator in the period before; empty when the log does not reach back"},
--   {name = "before_all_count", type = "bigint", meaning = "Denominator in the period before"},
--   {name = "before_rate", type = "double", unit = "share", meaning = "Rate in the period before"},
--   {name = "trend", type = "varchar", meaning = "worse, better, or same when the difference may be chance; empty when unknown"},
-- ]
-- ---
with bounds as (
    select since, until, since - (until - since) as before, first_ts
    from (select cast($since as timestamptz) as since, coalesce($until, max(last_ts) + interval '1' microsecond) as until,
            min(first_ts) as first_ts from sources where coalesce(host = $host, true)) as p),
happenings as (
    select 'requests_failed' as metric, r.ts_end as ts, r.session_id, r.outcome like 'failed%' as bad from requests as r where r.is_inference and r.surface = 'ollama'
    union all select 'streams_failed', r.ts_end, r.session_id, r.stream_outcome in ('failed_before_first_byte', 'failed_mid_stream', 'truncated')
    from streams as r where r.stream_outcome <> 'cancelled_by_client'
    union all select 'oom_incidents', i.first_ts, i.session_id, true from incidents as i
    inner join causes as c on c.code = i.code and c.category = 'memory' and i.severity <> 'warning'  -- a partial offload is no OOM
),
timed as (
    select h.metric, h.bad, coalesce(h.ts < b.since, false) as earlier
    from happenings as h cross join bounds as b left join server_sessions as s on s.session_id = h.session_id
    where coalesce(h.ts >= b.before, b.since is null) and coalesce(h.ts < b.until, b.since is null) and coalesce(s.host = $host, $host is null)
),
counted as (
    select m.metric, m.place, count(*) filter (where t.bad and not t.earlier) as bad, count(t.metric) filter (where not t.earlier) as n,
        case when any_value(b.first_ts) <= any_value(b.before) then count(*) filter (where t.bad and t.earlier) end as old_bad,
        case when any_value(b.first_ts) <= any_value(b.before) then count(*) filter (where t.earlier) end as old_n, 3.841458820694124 as zz
    from (values ('requests_failed', 1), ('streams_failed', 2), ('oom_incidents', 3)) as m (metric, place)
    cross join bounds as b left join timed as t on t.metric = m.metric group by m.metric, m.place
),
rated as (
    select *, case when place < 3 and n >= greatest($min_count, 1) then bad / cast(n as double) end as p,
        case when place < 3 and old_n >= greatest($min_count, 1) then old_bad / cast(old_n as double) end as q,
        (bad + old_bad) / cast(nullif(n + old_n, 0) as double) as pooled
    from counted
),
placed as (  -- d: how many failures more than at the rate of both periods together, in standard errors
    select *, (p + zz / (2 * n) - sqrt(zz * (p * (1 - p) / n + zz / (4 * n * n)))) / (1 + zz / n) as low,
        (p + zz / (2 * n) + sqrt(zz * (p * (1 - p) / n + zz / (4 * n * n)))) / (1 + zz / n) as high,
        case when place = 3 then (bad - old_bad) / sqrt(nullif(bad + old_bad, 0))
             else (p - q) / sqrt(nullif(pooled * (1 - pooled) * (1.0 / n + 1.0 / nullif(old_n, 0)), 0)) end as d
    from rated
)
select metric, bad as bad_count, case when place < 3 then n end as all_count, p as rate, low as rate_low, high as rate_high,
    old_bad as before_bad_count, case when place < 3 then old_n end as before_all_count, q as before_rate,
    case when d > 1.959963984540054 then 'worse' when d < -1.959963984540054 then 'better'
        when d is not null or (bad = 0 and old_bad = 0) then 'same' end as trend
from placed order by place
