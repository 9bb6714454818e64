-- ---
-- name     = "errors-by-endpoint"
-- title    = "Errors by route"
-- question = "Which route fails, how often, and why?"
-- common   = ["since", "until", "host", "model", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "endpoint", type = "varchar", meaning = """Route of the first request an incident hit; unknown for \
--      failures that hit none"""},
--   {name = "incident_count", type = "bigint", meaning = """Failures counted under it; all rows together are those \
--      of error-frequency"""},
--   {name = "failed_count", type = "bigint", meaning = """Inference requests answered with an error or broken off: \
--      the numerator"""},
--   {name = "request_count", type = "bigint", meaning = """Inference requests to it, seen by the server, a client or \
--      both; 0 for routes that are none: the denominator"""},
--   {name = "failure_rate", type = "double", unit = "share", meaning = """failed_count of request_count, at least: a \
--      stream logged as 200 may have broken; empty below min_count"""},
--   {name = "rate_low", below = true, type = "double", unit = "share", meaning = """Lower end of the 95 % Wilson \
--      interval"""},
--   {name = "rate_high", below = true, type = "double", unit = "share", meaning = """Upper end of the 95 % Wilson \
--      interval"""},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = """Of the requests, streams logged as \
--      200, whose end is unknown"""},
--   {name = "top_code", type = "varchar", meaning = "Code with most incidents in it"},
--   {name = "top_count", below = true, type = "bigint", meaning = "Incidents of that code"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First incident"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last incident"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity among its incidents"},
--   {name = "title", below = true, type = "varchar", meaning = "What top_code is"},
--   {name = "remedy", below = true, type = "varchar", meaning = """What to do about top_code, first sentence; all of \
--      it: erranalytics explain CODE"""},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate"},
-- ]
-- ---
select
    name as endpoint, incident_count, failed_count, request_count, failure_rate, rate_low, rate_high,
    not_observable_count, top_code, top_count, first_ts, last_ts, severity, title, remedy, note
from counted_by('endpoint', $since, $until, $host, $model, null, $code, $min_count)
order by incident_count desc, failed_count desc, request_count desc, endpoint
