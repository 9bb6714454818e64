-- ---
-- name     = "page-streams"
-- title    = "How streams ended"
-- question = "When did streams complete, fail or break off?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = """Width of the step: minute or hour (of UTC), day, week, month or \
--      year (of --tz)"""},
--   {name = "completed_count", type = "bigint", meaning = "Proven to have finished"},
--   {name = "failed_count", type = "bigint", meaning = "Ended with an error, before or after the first byte"},
--   {name = "truncated_count", type = "bigint", meaning = "Ended without a last chunk"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client left"},
--   {name = "suspected_count", type = "bigint", meaning = """Logged as 200 although the runner died; not among the \
--      next"""},
--   {name = "not_observable_count", type = "bigint", meaning = "Logged as 200, which proves nothing"},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step; by default as wide as the period needs"
-- ---
select
    bucket, width, completed_count, failed_count, truncated_count, cancelled_count, suspected_count,
    not_observable_count
from report_page_streams($since, $until, $host, $tz, $width)
order by bucket
