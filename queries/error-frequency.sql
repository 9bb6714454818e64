-- ---
-- name     = "error-frequency"
-- title    = "Errors by code"
-- question = "Which failures occurred, how often, and what helps?"
-- common   = ["since", "until", "host", "model", "endpoint", "code"]
-- coverage = ["unknown", "rejects", "undated", "guesses"]
-- columns  = [
--   {name = "code", type = "varchar", meaning = "Code of the cause"},
--   {name = "incident_count", type = "bigint", meaning = """Failures with this root; 0 when it was only seen as an \
--      echo of another cause"""},
--   {name = "error_count", type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "request_count", type = "bigint", meaning = "Requests that the failures hit"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen"},
--   {name = "share", type = "double", unit = "share", meaning = "incident_count of all incidents in the period"},
--   {name = "severity", type = "varchar", meaning = "Worst severity seen"},
--   {name = "category", below = true, type = "varchar", meaning = "Category of the cause"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
--   {name = "remedy", below = true, type = "varchar", meaning = """What to do, first sentence; all of it: \
--      erranalytics explain CODE"""},
-- ]
-- ---
select code, incident_count, error_count, request_count, first_ts, last_ts, share, severity, category, title, remedy
from report_error_frequency($since, $until, $host, $model, $endpoint, $code)
order by incident_count desc, error_count desc, code
