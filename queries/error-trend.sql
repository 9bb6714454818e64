-- ---
-- name     = "error-trend"
-- title    = "Errors over time"
-- question = "Since when does it fail, and is it getting worse?"
-- common   = ["since", "until", "host", "model", "code", "bucket", "tz"]
-- coverage = ["unknown", "rejects", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = """Start of the hour (of UTC), day or week (of --tz); times \
--      without any are shown"""},
--   {name = "incident_count", type = "bigint", meaning = "Failures that began in it"},
--   {name = "change", type = "bigint", meaning = "incident_count less that of the step before; empty in the first"},
--   {name = "before_count", type = "bigint", meaning = """Failures at the same place of the period before, as long \
--      as from --since to --until; empty without --since and where the log does not reach back"""},
--   {name = "is_burst", type = "boolean", meaning = """At least 5 failures, and more than the median of all steps \
--      and three times the median distance from it"""},
--   {name = "error_count", below = true, type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests that ended in it, failed or not"},
--   {name = "failed_count", type = "bigint", meaning = "Of these, answered with an error"},
--   {name = "failed_share", type = "double", unit = "share", meaning = "failed_count of request_count"},
-- ]
-- ---
select
    bucket, incident_count, change, before_count, is_burst, error_count, request_count, failed_count, failed_share
from report_error_trend($since, $until, $host, $model, $code, $bucket, $tz)
order by bucket
