-- ---
-- name     = "overview-failing"
-- title    = "Failing now"
-- question = "Which failures come first?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "code", type = "varchar", meaning = "Code of the root cause"},
--   {name = "incident_count", type = "bigint", meaning = "Failures of severity error or critical"},
--   {name = "request_count", type = "bigint", meaning = "Requests that they hit"},
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
select
    code, incident_count, request_count, suspected_count, first_ts, last_ts, models, severity, title, remedy,
    code_count
from report_overview_failing($since, $until, $host)
order by incident_count desc, severity_rank(severity) desc, code
limit $limit
