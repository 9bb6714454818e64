-- ---
-- name     = "coverage"
-- title    = "What could not be seen"
-- question = "What is missing from the answers, and why?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "topic", type = "varchar", meaning = "Name of the blind spot"},
--   {name = "amount", type = "bigint", meaning = "How many"},
--   {name = "note", type = "varchar", meaning = "What that means"},
-- ]
-- ---
select topic, amount, note
from report_coverage($since, $until, $host)
order by place, topic
