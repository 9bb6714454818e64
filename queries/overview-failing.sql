-- ---
-- name     = "overview-failing"
-- title    = "Failing now"
-- question = "Which failures come first?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "code", type = "varchar", meaning = "Code of the root cause"},
--   {name = "incident_count", type = "bigint", meaning = "Failures of severity error or critical"},
--   {name = "request_count", type = "bigint", meaning = "Requests they took with them"},
--   {name = "suspected_count", type = "bigint", meaning = "Streams logged as 200 although their runner died"},
--   {name = "first_ts", type = "timestamptz", meaning = "First seen in the period"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen"},
--   {name = "models", type = "varchar[]", meaning = "Models they name"},
--   {name = "severity", type = "varchar", meaning = "Worst severity"},
--   {name = "title", type = "varchar", meaning = "What happened"},
--   {name = "remedy", type = "varchar", meaning = "What to do, with the numbers where all incidents have the same"},
--   {name = "code_count", type = "bigint", meaning = "How many codes failed in all, shown here or not"},
-- ]
-- [param.limit]
-- type = "integer"
-- default = 5
-- help = "How many codes are shown"
-- ---
with happened as (
    select i.*
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('warning', 'error', 'critical')
      and coalesce(i.first_ts >= $since, $since is null) and coalesce(i.first_ts < $until, $until is null)
      and coalesce(s.host = $host, $host is null)
),
-- Where nothing fails, what is warned of is what there is to see.
failures as (select h.* from happened as h where h.severity <> 'warning' or not exists (select 1 from happened as o where o.severity <> 'warning')),
suspects as (
    select incident_id, count(*) as suspected_count from requests
    where suspected_by is not null and surface = 'ollama'
    group by incident_id
),
named as (
    select code, array_agg(distinct model order by model) as models
    from (select code, unnest(models) as model from failures) as m
    group by code
),
counted as (
    select f.code, count(*) as incident_count, sum(f.request_count) as request_count, sum(u.suspected_count) as suspected_count,
        min(f.first_ts) as first_ts, max(f.last_ts) as last_ts, case when count(distinct e.remedy) = 1 and count(e.remedy) = count(*) then max(e.remedy) end as remedy, max(case f.severity when 'critical' then 2 when 'error' then 1 else 0 end) as worst, count(*) over () as code_count
    from failures as f
    left join suspects as u on u.incident_id = f.incident_id
    left join errors as e on e.event_id = f.root_event_id
    group by f.code
)
select t.code, t.incident_count, cast(t.request_count as bigint) as request_count,
    cast(coalesce(t.suspected_count, 0) as bigint) as suspected_count, t.first_ts, t.last_ts, m.models,
    case t.worst when 2 then 'critical' when 1 then 'error' else 'warning' end as severity, c.title, coalesce(t.remedy, c.remedy) as remedy, t.code_count
from counted as t
left join causes as c on c.code = t.code
left join named as m on m.code = t.code
order by t.incident_count desc, t.worst desc, t.code
limit $limit
