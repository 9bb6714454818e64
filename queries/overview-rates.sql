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
--   {name = "known_count", type = "bigint", meaning = "Of the streams, those whose end is proven: completed, failed or truncated"},
--   {name = "truncated_count", type = "bigint", meaning = "Of these, ended without a last chunk and without an error"},
--   {name = "cancelled_count", type = "bigint", meaning = "Streams the client went away from, in neither count"},
--   {name = "suspected_count", type = "bigint", meaning = "Streams logged as 200 although the runner died"},
-- ]
-- ---
with bounds as (
    select since, until, since - (until - since) as before, first_ts from (select cast($since as timestamptz) as since, coalesce($until, max(last_ts) + interval '1' microsecond) as until, min(first_ts) as first_ts from sources where coalesce(host = $host, true)) as p),
happenings as (  -- counted by run first: a busy server has millions of requests and few runs
    select 'requests_failed' as metric, r.session_id, coalesce(r.ts_end < b.since, false) as earlier, case when r.outcome like 'failed%' then 'bad' else 'good' end as what, false as suspected, count(*) as n
    from requests as r cross join bounds as b
    where r.is_inference and r.surface = 'ollama' and coalesce(r.ts_end >= b.before, b.since is null) and coalesce(r.ts_end < b.until, b.since is null) group by 1, 2, 3, 4, 5
    union all select 'streams_failed', t.session_id, coalesce(t.ts_end < b.since, false), case when t.stream_outcome like 'failed%' then 'bad' else t.stream_outcome end, t.is_suspected and t.stream_outcome = 'not_observable', count(*)
    from streams as t cross join bounds as b where coalesce(t.ts_end >= b.before, b.since is null) and coalesce(t.ts_end < b.until, b.since is null) group by 1, 2, 3, 4, 5
    union all select 'oom_incidents', i.session_id, coalesce(i.first_ts < b.since, false), 'bad', false, count(*)
    from incidents as i inner join causes as c on c.code = i.code and c.category = 'memory' and i.severity <> 'warning' cross join bounds as b  -- a partial offload is no OOM
    where coalesce(i.first_ts >= b.before, b.since is null) and coalesce(i.first_ts < b.until, b.since is null) group by 1, 2, 3, 4, 5
),
here as (select h.* from happenings as h left join server_sessions as s on s.session_id = h.session_id where coalesce(s.host = $host, $host is null)),
counted as (
    select m.metric, m.place, coalesce(sum(t.n) filter (where t.what in ('bad', 'truncated') and not t.earlier), 0) as bad, coalesce(sum(t.n) filter (where t.what <> 'cancelled_by_client' and not t.earlier), 0) as n,
        case when any_value(b.first_ts) <= any_value(b.before) then coalesce(sum(t.n) filter (where t.what in ('bad', 'truncated') and t.earlier), 0) end as old_bad,
        case when any_value(b.first_ts) <= any_value(b.before) then coalesce(sum(t.n) filter (where t.what <> 'cancelled_by_client' and t.earlier), 0) end as old_n,
        coalesce(sum(t.n) filter (where t.what in ('bad', 'truncated', 'completed') and not t.earlier), 0) as known, coalesce(sum(t.n) filter (where t.what = 'truncated' and not t.earlier), 0) as truncated,
        coalesce(sum(t.n) filter (where t.what = 'cancelled_by_client' and not t.earlier), 0) as cancelled, coalesce(sum(t.n) filter (where t.suspected and not t.earlier), 0) as suspected
    from (values ('requests_failed', 1), ('streams_failed', 2), ('oom_incidents', 3)) as m (metric, place)
    cross join bounds as b left join here as t on t.metric = m.metric group by m.metric, m.place
),
rated as (
    select *, case when place < 3 and n >= greatest($min_count, 1) then bad / cast(n as double) end as p,
        case when place < 3 and old_n >= greatest($min_count, 1) then old_bad / cast(old_n as double) end as q,
        (bad + old_bad) / cast(nullif(n + old_n, 0) as double) as pooled from counted
),
placed as (  -- d: how many failures more than at the rate of both periods together, in standard errors
    select *, case when p is not null then wilson_low(bad, n) end as low, case when p is not null then wilson_high(bad, n) end as high,
        case when place = 3 then (bad - old_bad) / sqrt(nullif(bad + old_bad, 0)) else (p - q) / sqrt(nullif(pooled * (1 - pooled) * (1.0 / n + 1.0 / nullif(old_n, 0)), 0)) end as d from rated
)
select metric, cast(bad as bigint) as bad_count, cast(case when place < 3 then n end as bigint) as all_count, p as rate, low as rate_low, high as rate_high,
    cast(old_bad as bigint) as before_bad_count, cast(case when place < 3 then old_n end as bigint) as before_all_count, q as before_rate,
    case when d > 1.959963984540054 then 'worse' when d < -1.959963984540054 then 'better' when d is not null or (bad = 0 and old_bad = 0) then 'same' end as trend,
    cast(case when place = 2 then known end as bigint) as known_count, cast(case when place = 2 then truncated end as bigint) as truncated_count, cast(case when place = 2 then cancelled end as bigint) as cancelled_count, cast(case when place = 2 then suspected end as bigint) as suspected_count
from placed order by place
