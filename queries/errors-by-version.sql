-- ---
-- name     = "errors-by-version"
-- title    = "Errors by version"
-- question = "Did a new version of Ollama make it worse?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "version", type = "varchar", meaning = """Version of Ollama, 0.9 before 0.10, release candidates before \
--      their release; unknown where its start is not in the log"""},
--   {name = "incident_count", type = "bigint", meaning = """Failures counted under it; all rows together are those \
--      of error-frequency"""},
--   {name = "failed_count", type = "bigint", meaning = """Inference requests answered with an error or broken off: \
--      the numerator"""},
--   {name = "request_count", type = "bigint", meaning = "Inference requests it answered: the denominator"},
--   {name = "failure_rate", type = "double", unit = "share", meaning = """failed_count of request_count, at least: a \
--      stream logged as 200 may have broken; empty below min_count"""},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
--   {name = "trend", type = "varchar", meaning = """worse or better than compared_to when the intervals do not \
--      overlap, else same; empty where nothing can be compared"""},
--   {name = "change", below = true, type = "double", unit = "share", meaning = """failure_rate less that of \
--      compared_to"""},
--   {name = "compared_to", below = true, type = "varchar", meaning = "The version before that has enough requests"},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = """Of the requests, streams logged as \
--      200, whose end is unknown"""},
--   {name = "top_code", below = true, type = "varchar", meaning = "Code with most incidents in it"},
--   {name = "top_count", below = true, type = "bigint", meaning = "Incidents of that code"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First incident"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last incident"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity among its incidents"},
--   {name = "title", below = true, type = "varchar", meaning = "What top_code is"},
--   {name = "remedy", below = true, type = "varchar", meaning = """What to do about top_code, first sentence; all of \
--      it: erranalytics explain CODE"""},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate"},
-- ]
-- ---
with compared_versions as (
    select
        *,
        version_key(name) as place,
        lag(case when failure_rate is not null then name end ignore nulls) over w as other,
        lag(failure_rate ignore nulls) over w as other_rate,
        lag(rate_low ignore nulls) over w as other_low,
        lag(rate_high ignore nulls) over w as other_high
    from counted_by('version', $since, $until, $host, $model, $endpoint, $code, $min_count)
    window w as (order by version_key(name) nulls last, name)
)
select
    name as version, incident_count, failed_count, request_count, failure_rate, rate_low, rate_high,
    case
        when place is null then null
        when rate_low > other_high then 'worse'
        when rate_high < other_low then 'better'
        when failure_rate + other_rate is not null then 'same'
    end as trend,
    case when place is not null then failure_rate - other_rate end as change,
    case when place is not null and failure_rate is not null then other end as compared_to,
    not_observable_count, top_code, top_count, first_ts, last_ts, severity, title, remedy, note
from compared_versions
order by place nulls last, version
