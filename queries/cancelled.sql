-- ---
-- name     = "cancelled"
-- title    = "Calls their clients gave up"
-- question = "Which clients give up, after how long, and is it a timeout?"
-- common   = ["since", "until", "host", "model", "endpoint"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "seen_by", type = "varchar", meaning = "server (access line), client (its record) or both"},
--   {name = "cancelled_count", type = "bigint", meaning = """Requests and calls that were given up; one both saw \
--      counts once"""},
--   {name = "all_count", type = "bigint", meaning = "All requests and calls of the route that this side saw"},
--   {name = "share", type = "double", unit = "share", meaning = "cancelled_count of all_count"},
--   {name = "median_us", type = "bigint", unit = "us", meaning = "Median time after which they were given up"},
--   {name = "timeout_us", type = "bigint", unit = "us", meaning = """The whole second after which a third of them or \
--      more, and three, were given up: a timeout set there"""},
--   {name = "timeout_count", below = true, type = "bigint", meaning = "How many were given up at it"},
--   {name = "codes", below = true, type = "varchar", meaning = "Causes found"},
--   {name = "last_ts", type = "timestamptz", meaning = "The latest one"},
-- ]
-- ---
select endpoint, seen_by, cancelled_count, all_count, share, median_us, timeout_us, timeout_count, codes, last_ts
from report_cancelled($since, $until, $host, $model, $endpoint)
order by cancelled_count desc, endpoint, seen_by
