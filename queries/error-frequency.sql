-- ---
-- name     = "error-frequency"
-- title    = "Errors by code"
-- question = "Which failures occurred, how often, and what helps?"
-- common   = ["since", "until", "host", "model", "endpoint", "code"]
-- coverage = ["unknown", "rejects", "undated", "guesses"]
-- columns  = [
--   {name = "code", type = "varchar", meaning = "Code of the cause"},
--   {name = "incident_count", type = "bigint", meaning = "Failures with this root; 0 when it was only seen as an echo of another cause"},
--   {name = "error_count", type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "request_count", type = "bigint", meaning = "Requests the failures took with them"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen"},
--   {name = "share", type = "double", unit = "share", meaning = "incident_count of all incidents in the period"},
--   {name = "severity", type = "varchar", meaning = "Worst severity seen"},
--   {name = "category", below = true, type = "varchar", meaning = "Category of the cause"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence; all of it: erranalytics explain CODE"},
-- ]
-- ---
with failures as (
    select i.code, i.severity, i.first_ts, i.last_ts, 1 as incident_count, 0 as error_count, i.request_count
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= $since, $since is null)
      and coalesce(i.first_ts < $until, $until is null)
      and coalesce(s.host = $host, $host is null)
      and ($model is null or $model = any(i.models))
      and coalesce(i.code = $code, $code is null)
      and ($endpoint is null or i.incident_id in (select r.incident_id from requests as r where r.endpoint = $endpoint))
),
lines as (
    select e.code, e.severity, e.ts as first_ts, e.ts as last_ts, 0 as incident_count, 1 as error_count, 0 as request_count
    from errors as e
    where coalesce(e.ts >= $since, $since is null)
      and coalesce(e.ts < $until, $until is null)
      and coalesce(e.host = $host, $host is null)
      and coalesce(e.model = $model, $model is null)
      and coalesce(e.code = $code, $code is null)
      and coalesce(e.endpoint = $endpoint, $endpoint is null)
),
counted as (
    select
        code, sum(incident_count) as incident_count, sum(error_count) as error_count,
        sum(request_count) as request_count, min(first_ts) as first_ts, max(last_ts) as last_ts,
        max(case severity when 'critical' then 4 when 'error' then 3 when 'warning' then 2 else 1 end) as worst
    from (select * from failures union all select * from lines) as seen
    group by code
)
select
    t.code, cast(t.incident_count as bigint) as incident_count, cast(t.error_count as bigint) as error_count,
    cast(t.request_count as bigint) as request_count, t.first_ts, t.last_ts,
    cast(t.incident_count as double) / nullif(sum(t.incident_count) over (), 0) as share,
    case t.worst when 4 then 'critical' when 3 then 'error' when 2 then 'warning' else 'info' end as severity,
    c.category, c.title, split_part(c.remedy, '. ', 1) as remedy
from counted as t
left join causes as c on c.code = t.code
order by incident_count desc, error_count desc, t.code
