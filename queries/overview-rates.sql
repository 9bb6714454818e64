-- ---
-- name     = "overview-rates"
-- title    = "Rates"
-- question = "How often does it fail, and is it getting worse?"
-- part     = true
-- common   = ["since", "until", "host", "min_count"]
-- columns  = [
--   {name = "metric", type = "varchar", meaning = """requests_failed, streams_failed (of those not cancelled), \
--      oom_incidents (no denominator, without warnings)"""},
--   {name = "bad_count", type = "bigint", meaning = "Numerator"},
--   {name = "all_count", type = "bigint", meaning = "Denominator"},
--   {name = "rate", type = "double", unit = "share", meaning = "bad_count of all_count; empty below --min-count"},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of its 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of it"},
--   {name = "before_bad_count", type = "bigint", meaning = """Numerator in the period before; empty when the log \
--      does not reach back"""},
--   {name = "before_all_count", type = "bigint", meaning = "Denominator in the period before"},
--   {name = "before_rate", type = "double", unit = "share", meaning = "Rate in the period before"},
--   {name = "trend", type = "varchar", meaning = """worse, better, or same when the difference may be chance; empty \
--      when unknown"""},
--   {name = "known_count", type = "bigint", meaning = """Of the streams, those whose end is proven: completed, \
--      failed or truncated"""},
--   {name = "truncated_count", type = "bigint", meaning = "Of these, ended without a last chunk and without an error"},
--   {name = "cancelled_count", type = "bigint", meaning = "Streams that the client left, in neither count"},
--   {name = "suspected_count", type = "bigint", meaning = "Streams logged as 200 although the runner died"},
-- ]
-- ---
select
    metric, bad_count, all_count, rate, rate_low, rate_high, before_bad_count, before_all_count, before_rate, trend,
    known_count, truncated_count, cancelled_count, suspected_count
from report_overview_rates($since, $until, $host, $min_count)
order by place
