-- ---
-- name     = "stream-trend"
-- title    = "Streams over time"
-- question = "Since when do streams break, and how certain is that?"
-- common   = ["since", "until", "host", "model", "endpoint", "bucket", "tz", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = """Start of the hour (of UTC), day or week (of --tz); times \
--      without any are shown"""},
--   {name = "stream_count", type = "bigint", meaning = """Streams that ended in it; one that server and client saw \
--      counts once"""},
--   {name = "known_count", type = "bigint", meaning = """Outcome proven: completed, failed or truncated; the \
--      denominator"""},
--   {name = "bad_count", type = "bigint", meaning = "Failed or truncated: the numerator"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client left; in neither side of the rate"},
--   {name = "suspected_count", type = "bigint", meaning = """Logged as 200 although the runner died, and seen by no \
--      client"""},
--   {name = "not_observable_count", type = "bigint", meaning = "Logged as 200, which proves nothing"},
--   {name = "failure_rate", type = "double", unit = "share", meaning = """bad_count of known_count; empty below \
--      min_count"""},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
-- ]
-- ---
select
    bucket, stream_count, known_count, bad_count, cancelled_count, suspected_count, not_observable_count,
    failure_rate, rate_low, rate_high
from report_stream_trend($since, $until, $host, $model, $endpoint, $bucket, $tz, $min_count)
order by bucket
