-- ---
-- name     = "page-latency"
-- title    = "How long requests took"
-- question = "How long did requests take, and did that change?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = """Width of the step: minute or hour (of UTC), day, week, month or \
--      year (of --tz)"""},
--   {name = "request_count", type = "bigint", meaning = """Inference requests answered with a status below 400 that \
--      ended in it"""},
--   {name = "p50_us", type = "bigint", unit = "us", meaning = "Half of them took no longer"},
--   {name = "p90_us", type = "bigint", unit = "us", meaning = "Nine of ten took no longer"},
--   {name = "p99_us", type = "bigint", unit = "us", meaning = """99 of 100 took no longer; of fewer than 100 the \
--      slowest"""},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step; by default as wide as the period needs"
-- ---
select bucket, width, request_count, p50_us, p90_us, p99_us
from report_page_latency($since, $until, $host, $tz, $width)
order by bucket
