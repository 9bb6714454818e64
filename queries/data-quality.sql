-- ---
-- name     = "data-quality"
-- title    = "Is every line accounted for?"
-- question = "Was every line of the input read, and how well?"
-- common   = ["host"]
-- coverage = ["rejects", "unknown", "undated", "sessions", "gaps"]
-- columns  = [
--   {name = "source", type = "varchar", meaning = "Path of the input; the first row is for all of them"},
--   {name = "accounted", type = "varchar", meaning = """yes if line_count is the sum of the four that follow, or \
--      else how many lines are missing"""},
--   {name = "line_count", type = "bigint", meaning = "Physical lines read"},
--   {name = "event_count", type = "bigint", meaning = "Records kept"},
--   {name = "folded_count", type = "bigint", meaning = "Further lines of these records"},
--   {name = "duplicate_count", below = true, type = "bigint", meaning = "Lines already known from another source"},
--   {name = "reject_count", type = "bigint", meaning = "Lines that could not be a record"},
--   {name = "reject_reasons", below = true, type = "varchar", meaning = "Why not"},
--   {name = "unknown_count", below = true, type = "bigint", meaning = "Records in no known format"},
--   {name = "foreign_count", below = true, type = "bigint", meaning = "Records of other programs"},
--   {name = "known_share", type = "double", unit = "share", meaning = """Lines in a known shape, of all that are not \
--      known to be of other programs"""},
--   {name = "clocks", below = true, type = "varchar", meaning = "Where the times come from"},
--   {name = "source_id", below = true, type = "integer", meaning = "Number"},
-- ]
-- ---
select
    source, accounted, line_count, event_count, folded_count, duplicate_count, reject_count, reject_reasons,
    unknown_count, foreign_count, known_share, clocks, source_id
from report_data_quality($host)
order by source_id nulls first
