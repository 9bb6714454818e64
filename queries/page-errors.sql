-- ---
-- name     = "page-errors"
-- title    = "Failures over time, by category"
-- question = "When did it fail, and with what kind of cause?"
-- part     = true
-- common   = ["since", "until", "host", "tz"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the step; steps without any are there too"},
--   {name = "width", type = "varchar", meaning = """Width of the step: minute or hour (of UTC), day, week, month or \
--      year (of --tz)"""},
--   {name = "category", type = "varchar", meaning = """Category of the cause; other for all but the six most \
--      frequent, empty when there was none"""},
--   {name = "place", type = "bigint", meaning = "Rank of the category, 7 for other"},
--   {name = "incident_count", type = "bigint", meaning = "Failures of severity error or critical that began in it"},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step; by default as wide as the period needs"
-- ---
select bucket, width, category, place, incident_count
from report_page_errors($since, $until, $host, $tz, $width)
order by bucket, place
