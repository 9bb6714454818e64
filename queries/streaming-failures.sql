-- ---
-- name     = "streaming-failures"
-- title    = "Streams that failed"
-- question = "How many streams failed, and how many can be judged at all?"
-- common   = ["since", "until", "host", "model", "endpoint", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "endpoint", type = "varchar", meaning = """Route that can stream, or what --param by=… names; the last \
--      row is for all of them"""},
--   {name = "stream_count", type = "bigint", meaning = "Streams; one that server and client saw counts once"},
--   {name = "known_count", type = "bigint", meaning = """Outcome proven: completed, failed or truncated; the \
--      denominator"""},
--   {name = "failed_count", type = "bigint", meaning = "Ended with an error, before or after the first byte"},
--   {name = "truncated_count", type = "bigint", meaning = "Ended without a last chunk; only a client can see it"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client left; in neither side of the rate"},
--   {name = "suspected_count", below = true, type = "bigint", meaning = """Logged as 200 although the runner died: \
--      part of not_observable_count"""},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = "Logged as 200, which proves nothing"},
--   {name = "not_observable_share", below = true, type = "double", unit = "share", meaning = """not_observable_count \
--      of stream_count"""},
--   {name = "bad_count", below = true, type = "bigint", meaning = "failed and truncated: the numerator"},
--   {name = "failure_rate", below = true, type = "double", unit = "share", meaning = """bad_count of known_count; \
--      empty when it cannot be judged"""},
--   {name = "rate_low", below = true, type = "double", unit = "share", meaning = """Lower end of the 95 % Wilson \
--      interval"""},
--   {name = "rate_high", below = true, type = "double", unit = "share", meaning = """Upper end of the 95 % Wilson \
--      interval"""},
--   {name = "at_least", type = "double", unit = "share", meaning = """bad_count of all streams not cancelled: the \
--      rate if every unseen end was good"""},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate, or how to read it"},
-- ]
-- [param.by]
-- type = "varchar"
-- choices = ["endpoint", "model", "client", "version"]
-- default = "endpoint"
-- help = "What the streams are grouped by"
-- ---
select
    endpoint, stream_count, known_count, failed_count, truncated_count, cancelled_count, suspected_count,
    not_observable_count, not_observable_share, bad_count, failure_rate, rate_low, rate_high, at_least, note
from report_streaming_failures($since, $until, $host, $model, $endpoint, $min_count, $by)
order by endpoint = 'all', endpoint
