-- ---
-- name     = "overview-trend"
-- title    = "Trend and memory"
-- question = "Is it getting worse, and where does memory run out?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "hours", type = "double", meaning = """Length of the two stretches compared: the period and the one \
--      before; without --since the last 7 days, day or hour of the log"""},
--   {name = "last_count", type = "bigint", meaning = "Failures of severity error or critical in the later one"},
--   {name = "before_count", type = "bigint", meaning = """The same in the one before; empty when the log does not \
--      reach back"""},
--   {name = "trend", type = "varchar", meaning = """worse, better, or same when the difference may be chance; empty \
--      when unknown"""},
--   {name = "new_codes", type = "varchar[]", meaning = """Codes of failures in the later one that the log before \
--      does not have"""},
--   {name = "oom_count", type = "bigint", meaning = "Memory failures in the period, without warnings"},
--   {name = "oom_code", type = "varchar", meaning = "Most frequent of them"},
--   {name = "oom_code_count", type = "bigint", meaning = "How often"},
--   {name = "oom_title", type = "varchar", meaning = "What it is"},
--   {name = "oom_model", type = "varchar", meaning = "Model that most of the memory failures name"},
--   {name = "oom_last_ts", type = "timestamptz", meaning = "Last memory failure"},
-- ]
-- ---
select
    hours, last_count, before_count, trend, new_codes, oom_count, oom_code, oom_code_count, oom_title, oom_model,
    oom_last_ts
from report_overview_trend($since, $until, $host)
order by hours
