-- ---
-- name     = "oom-trend"
-- title    = "Memory failures over time"
-- question = "When did memory run out, and how?"
-- common   = ["since", "until", "host", "model", "code", "bucket", "tz"]
-- coverage = ["unknown", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = """Start of the hour (of UTC), day or week (of --tz); times \
--      without any are shown"""},
--   {name = "code", type = "varchar", meaning = "Code of category memory; empty when there was none"},
--   {name = "incident_count", type = "bigint", meaning = "Failures that began in it"},
--   {name = "change", type = "bigint", meaning = """incident_count less that of this code in the step before; empty \
--      in the first"""},
--   {name = "before_count", type = "bigint", meaning = """Failures at the same place of the period before, as long \
--      as from --since to --until; empty without --since and where the log does not reach back"""},
--   {name = "is_burst", type = "boolean", meaning = """At least 5 failures, and more than the median of all steps of \
--      this code and three times the median distance from it"""},
--   {name = "request_count", type = "bigint", meaning = "Requests that they hit"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
-- ]
-- ---
select bucket, code, incident_count, change, before_count, is_burst, request_count, title
from report_oom_trend($since, $until, $host, $model, $code, $bucket, $tz)
order by bucket, incident_count desc, code
