-- ---
-- name     = "errors-by-client"
-- title    = "Errors by client"
-- question = "Which client fails, how often, and of what?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "client", type = "varchar", meaning = "Library and version that recorded its calls, else the address in the access lines; unknown where no request was hit"},
--   {name = "seen_by", below = true, type = "varchar", meaning = "client: its own records count; server: access lines of an address whose calls nobody recorded; empty: nobody"},
--   {name = "incident_count", type = "bigint", meaning = "Failures counted under it; all rows together are those of error-frequency"},
--   {name = "failed_count", type = "bigint", meaning = "Inference requests answered with an error or broken off: the numerator"},
--   {name = "request_count", type = "bigint", meaning = "Inference calls of the client, or requests from the address of which no call was recorded: the denominator"},
--   {name = "failure_rate", type = "double", unit = "share", meaning = "failed_count of request_count, at least: a stream logged as 200 may have broken; empty below min_count"},
--   {name = "rate_low", below = true, type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", below = true, type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = "Of the requests, streams logged as 200, whose end nobody saw"},
--   {name = "cancelled_count", below = true, type = "bigint", meaning = "Of the requests, given up by the client"},
--   {name = "top_code", type = "varchar", meaning = "Code with most incidents in it"},
--   {name = "top_count", below = true, type = "bigint", meaning = "Incidents of that code"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First incident"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last incident"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity among its incidents"},
--   {name = "title", below = true, type = "varchar", meaning = "What top_code is"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do about top_code, first sentence; all of it: erranalytics explain CODE"},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate"},
-- ]
-- ---
with failures as (
    select coalesce(i.client, i.client_address, 'unknown') as client, case when i.client is not null then 'client' when i.client_address is not null then 'server' end as seen_by, i.code, i.first_ts, i.last_ts, case i.severity when 'critical' then 4 when 'error' then 3 when 'warning' then 2 else 1 end as worst
    from incident_groups as i
    where coalesce(i.first_ts >= $since, $since is null) and coalesce(i.first_ts < $until, $until is null) and coalesce(i.host = $host, $host is null)
      and ($model is null or $model = any(i.models))
      and ($endpoint is null or i.incident_id in (select r.incident_id from requests as r where r.endpoint = $endpoint)) and coalesce(i.code = $code, $code is null)
),
codes as (
    select client, code, max(seen_by) as seen_by, count(*) as incidents, min(first_ts) as first_ts, max(last_ts) as last_ts, max(worst) as worst, row_number() over (partition by client order by count(*) desc, max(worst) desc, code) as place
    from failures group by client, code
),
failing as (
    select client, max(seen_by) as seen_by, sum(incidents) as incidents, min(first_ts) as first_ts, max(last_ts) as last_ts, max(worst) as worst, max(code) filter (where place = 1) as top_code, max(incidents) filter (where place = 1) as top_count
    from codes group by client
),
requested as (
    select coalesce(a.client, a.client_address, 'unknown') as client, max(case when a.client is not null then 'client' when a.client_address is not null then 'server' end) as seen_by, count(*) as requests, count(*) filter (where (a.outcome like 'failed%' or a.outcome = 'truncated') and coalesce(a.code = $code, $code is null)) as failed,
        count(*) filter (where a.outcome = 'not_observable') as unseen, count(*) filter (where a.outcome = 'cancelled_by_client') as cancelled
    from asked as a
    where coalesce(a.ts_end >= $since, $since is null) and coalesce(a.ts_end < $until, $until is null) and coalesce(a.host = $host, $host is null)
      and coalesce(a.model = $model, $model is null) and coalesce(a.endpoint = $endpoint, $endpoint is null) group by 1
),
joined as (
    select coalesce(f.client, r.client) as client, coalesce(f.seen_by, r.seen_by) as seen_by, coalesce(r.cancelled, 0) as cancelled, coalesce(f.incidents, 0) as incidents, coalesce(r.failed, 0) as failed, coalesce(r.requests, 0) as requests, coalesce(r.unseen, 0) as unseen,
        case when r.requests >= greatest($min_count, 1) then r.requests end as n, f.top_code, coalesce(f.top_count, 0) as top_count, f.first_ts, f.last_ts, f.worst
    from failing as f full join requested as r on r.client = f.client
)
select j.client, j.seen_by, cast(j.incidents as bigint) as incident_count, j.failed as failed_count, j.requests as request_count, j.failed / cast(nullif(j.n, 0) as double) as failure_rate,
    wilson_low(j.failed, j.n) as rate_low, wilson_high(j.failed, j.n) as rate_high, j.unseen as not_observable_count, j.cancelled as cancelled_count, j.top_code, j.top_count, j.first_ts, j.last_ts,
    case j.worst when 4 then 'critical' when 3 then 'error' when 2 then 'warning' when 1 then 'info' end as severity, c.title, split_part(c.remedy, '. ', 1) as remedy,
    case when j.requests = 0 then 'no inference request of it is in the log' when j.n is null then 'too few requests to judge' end as note
from joined as j left join causes as c on c.code = j.top_code
order by incident_count desc, failed_count desc, request_count desc, j.client
