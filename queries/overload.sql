-- ---
-- name     = "overload"
-- title    = "Requests turned away"
-- question = """How many requests were turned away because of too much load, where, and how long were they asked \
--      to wait?"""
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["undated", "rejects", "guesses"]
-- columns  = [
--   {name = "seen_at", type = "varchar", meaning = """ollama (its access lines), gateway, or client; a request that \
--      several saw is counted at the first of them"""},
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "model", type = "varchar", meaning = "Model, where it is known"},
--   {name = "status", type = "smallint", meaning = "Status that was sent"},
--   {name = "code", type = "varchar", meaning = "Code of the cause: a full queue, a limit of requests, maintenance"},
--   {name = "turned_away_count", type = "bigint", meaning = "Requests turned away: the numerator"},
--   {name = "request_count", below = true, type = "bigint", meaning = """All requests of the route and model seen \
--      there: the denominator"""},
--   {name = "share", type = "double", unit = "share", meaning = """turned_away_count of request_count; empty below \
--      --min-count"""},
--   {name = "worst_ts", type = "timestamptz", meaning = "The hour (of UTC) with most of them"},
--   {name = "worst_count", type = "bigint", meaning = "How many in that hour"},
--   {name = "retry_after_s", type = "bigint", meaning = "Longest pause the answers asked for, seconds"},
--   {name = "maintenance_until", below = true, type = "varchar", meaning = """Latest end of a maintenance that was \
--      announced"""},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last seen"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
-- ]
-- ---
select
    seen_at, endpoint, model, status, code, turned_away_count, request_count, share, worst_ts, worst_count,
    retry_after_s, maintenance_until, first_ts, last_ts, remedy
from report_overload($since, $until, $host, $model, $endpoint, $code, $min_count)
order by turned_away_count desc, seen_at, endpoint nulls last, model nulls last, status nulls last, code
