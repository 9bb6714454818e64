-- ---
-- name     = "errors-by-client"
-- title    = "Errors by client"
-- question = "Which client fails, how often, and why?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "client", type = "varchar", meaning = """Library and version that recorded its calls, or else the \
--      address in the access lines; unknown if no request was hit"""},
--   {name = "seen_by", below = true, type = "varchar", meaning = """client: its own records count; server: access \
--      lines of an address whose calls nobody recorded; empty: nobody"""},
--   {name = "incident_count", type = "bigint", meaning = """Failures counted under it; all rows together are those \
--      of error-frequency"""},
--   {name = "failed_count", type = "bigint", meaning = """Inference requests answered with an error or broken off: \
--      the numerator"""},
--   {name = "request_count", type = "bigint", meaning = """Inference calls of the client, or requests from the \
--      address of which no call was recorded: the denominator"""},
--   {name = "failure_rate", type = "double", unit = "share", meaning = """failed_count of request_count, at least: a \
--      stream logged as 200 may have broken; empty below min_count"""},
--   {name = "rate_low", below = true, type = "double", unit = "share", meaning = """Lower end of the 95 % Wilson \
--      interval"""},
--   {name = "rate_high", below = true, type = "double", unit = "share", meaning = """Upper end of the 95 % Wilson \
--      interval"""},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = """Of the requests, streams logged as \
--      200, whose end is unknown"""},
--   {name = "cancelled_count", below = true, type = "bigint", meaning = "Requests of these that the client gave up"},
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
    name as client, seen_by, incident_count, failed_count, request_count, failure_rate, rate_low, rate_high,
    not_observable_count, cancelled_count, top_code, top_count, first_ts, last_ts, severity, title, remedy, note
from counted_by('client', $since, $until, $host, $model, $endpoint, $code, $min_count)
order by incident_count desc, failed_count desc, request_count desc, client
