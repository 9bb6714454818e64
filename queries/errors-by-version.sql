-- ---
-- name     = "errors-by-version"
-- title    = "Errors by version"
-- question = "Did a new version of Ollama make it worse?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "version", type = "varchar", meaning = "Version of Ollama, 0.9 before 0.10, release candidates before their release; unknown where its start is not in the log"},
--   {name = "incident_count", type = "bigint", meaning = "Failures counted under it; all rows together are those of error-frequency"},
--   {name = "failed_count", type = "bigint", meaning = "Inference requests answered with an error or broken off: the numerator"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests it answered: the denominator"},
--   {name = "failure_rate", type = "double", unit = "share", meaning = "failed_count of request_count, at least: a stream logged as 200 may have broken; empty below min_count"},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
--   {name = "trend", type = "varchar", meaning = "worse or better than compared_to when the intervals do not overlap, else same; empty where nothing can be compared"},
--   {name = "change", below = true, type = "double", unit = "share", meaning = "failure_rate less that of compared_to"},
--   {name = "compared_to", below = true, type = "varchar", meaning = "The version before that has enough requests"},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = "Of the requests, streams logged as 200, whose end nobody saw"},
--   {name = "top_code", below = true, type = "varchar", meaning = "Code with most incidents in it"},
--   {name = "top_count", below = true, type = "bigint", meaning = "Incidents of that code"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First incident"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last incident"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity among its incidents"},
--   {name = "title", below = true, type = "varchar", meaning = "What top_code is"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do about top_code, first sentence; all of it: erranalytics explain CODE"},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate"},
-- ]
-- ---
with failures as (
    select coalesce(i.version, 'unknown') as version, i.code, i.first_ts, i.last_ts, case i.severity when 'critical' then 4 when 'error' then 3 when 'warning' then 2 else 1 end as worst from incident_groups as i
    where coalesce(i.first_ts >= $since, $since is null) and coalesce(i.first_ts < $until, $until is null) and coalesce(i.host = $host, $host is null) and ($model is null or $model = any(i.models)) and ($endpoint is null or i.incident_id in (select r.incident_id from requests as r where r.endpoint = $endpoint)) and coalesce(i.code = $code, $code is null)
),
codes as (select version, code, count(*) as incidents, min(first_ts) as first_ts, max(last_ts) as last_ts, max(worst) as worst, row_number() over (partition by version order by count(*) desc, max(worst) desc, code) as place
    from failures group by version, code),
failing as (select version, sum(incidents) as incidents, min(first_ts) as first_ts, max(last_ts) as last_ts, max(worst) as worst, max(code) filter (where place = 1) as top_code, max(incidents) filter (where place = 1) as top_count
    from codes group by version),
requested as (
    select coalesce(a.version, 'unknown') as version, count(*) as requests, count(*) filter (where (a.outcome like 'failed%' or a.outcome = 'truncated') and coalesce(a.code = $code, $code is null)) as failed, count(*) filter (where a.outcome = 'not_observable') as unseen
    from asked as a
    where coalesce(a.ts_end >= $since, $since is null) and coalesce(a.ts_end < $until, $until is null) and coalesce(a.host = $host, $host is null) and coalesce(a.model = $model, $model is null) and coalesce(a.endpoint = $endpoint, $endpoint is null) group by 1
),
joined as (
    select coalesce(f.version, r.version) as version, coalesce(f.incidents, 0) as incidents, coalesce(r.failed, 0) as failed, coalesce(r.requests, 0) as requests, coalesce(r.unseen, 0) as unseen,
        case when r.requests >= greatest($min_count, 1) then r.requests end as n, f.top_code, coalesce(f.top_count, 0) as top_count, f.first_ts, f.last_ts, f.worst
    from failing as f full join requested as r on r.version = f.version
),
rated as (select *, version_key(version) as place, failed / cast(n as double) as rate, wilson_low(failed, n) as low, wilson_high(failed, n) as high from joined),
compared as (
    select *, lag(case when n is not null then version end ignore nulls) over w as other, lag(rate ignore nulls) over w as other_rate, lag(low ignore nulls) over w as other_low, lag(high ignore nulls) over w as other_high
    from rated window w as (order by place nulls last, version)
)
select j.version, cast(j.incidents as bigint) as incident_count, j.failed as failed_count, j.requests as request_count, j.rate as failure_rate, j.low as rate_low, j.high as rate_high,
    case when place is null then null when j.low > j.other_high then 'worse' when j.high < j.other_low then 'better' when j.rate + j.other_rate is not null then 'same' end as trend,
    case when place is not null then j.rate - j.other_rate end as change, case when place is not null and j.rate is not null then j.other end as compared_to,
    j.unseen as not_observable_count, j.top_code, j.top_count, j.first_ts, j.last_ts, case j.worst when 4 then 'critical' when 3 then 'error' when 2 then 'warning' when 1 then 'info' end as severity, c.title, split_part(c.remedy, '. ', 1) as remedy,
    case when j.requests = 0 then 'no inference request of it is in the log' when j.n is null then 'too few requests to judge' end as note
from compared as j left join causes as c on c.code = j.top_code
order by place nulls last, j.version
