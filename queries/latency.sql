-- ---
-- name     = "latency"
-- title    = "How long requests take"
-- question = "How long do requests take, by how they ended, and does the load of a model make them slow?"
-- common   = ["since", "until", "host", "model", "endpoint", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "name", type = "varchar", meaning = """Route, or what --param by=… names; the last rows are all of them, \
--      except by=surface, where a request may be seen several times"""},
--   {name = "fate", type = "varchar", meaning = """answered (completed, or a 200 that nothing contradicts), \
--      suspected (a 200 over the death of a runner), failed, cancelled: never mixed"""},
--   {name = "request_count", type = "bigint", meaning = """Requests; one that several saw counts once, where it was \
--      seen nearest to the model (with by=surface once at each)"""},
--   {name = "timed_count", below = true, type = "bigint", meaning = """Those of them whose duration is known: the \
--      denominator of the percentiles"""},
--   {name = "p50_us", type = "bigint", unit = "us", meaning = "Half took no longer; empty below --min-count"},
--   {name = "p90_us", type = "bigint", unit = "us", meaning = "90 % took no longer; empty below --min-count"},
--   {name = "p95_us", type = "bigint", unit = "us", meaning = "95 % took no longer; empty below --min-count"},
--   {name = "p99_us", type = "bigint", unit = "us", meaning = """99 % took no longer; empty below five times \
--      --min-count"""},
--   {name = "max_us", type = "bigint", unit = "us", meaning = "The longest"},
--   {name = "warm_count", below = true, type = "bigint", meaning = """Requests of runs whose loads are known, \
--      without a load inside; only access lines of Ollama"""},
--   {name = "warm_p50_us", below = true, type = "bigint", unit = "us", meaning = "Their median"},
--   {name = "warm_p95_us", below = true, type = "bigint", unit = "us", meaning = "Their 95th percentile"},
--   {name = "cold_count", below = true, type = "bigint", meaning = """Requests with a load of a model inside that \
--      may be theirs"""},
--   {name = "cold_p50_us", below = true, type = "bigint", unit = "us", meaning = "Their median"},
--   {name = "load_p50_us", below = true, type = "bigint", unit = "us", meaning = "Median of those loads"},
--   {name = "first_chunk_count", below = true, type = "bigint", meaning = """Requests whose client noted when the \
--      first piece of the answer came"""},
--   {name = "first_chunk_p50_us", below = true, type = "bigint", unit = "us", meaning = """Median until the first \
--      piece"""},
--   {name = "first_chunk_p95_us", below = true, type = "bigint", unit = "us", meaning = """95th percentile until the \
--      first piece"""},
--   {name = "surfaces", below = true, type = "varchar", meaning = """Whose clock, and for how many: ollama (access \
--      line), gateway, client"""},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no percentile"},
-- ]
-- [param.by]
-- type = "varchar"
-- choices = ["endpoint", "model", "version", "status", "client", "surface"]
-- default = "endpoint"
-- help = "What requests are grouped by"
-- [param.routes]
-- type = "varchar"
-- choices = ["inference", "all"]
-- default = "inference"
-- help = "Inference routes, or all except polls"
-- ---
select
    name, fate, request_count, timed_count, p50_us, p90_us, p95_us, p99_us, max_us, warm_count, warm_p50_us,
    warm_p95_us, cold_count, cold_p50_us, load_p50_us, first_chunk_count, first_chunk_p50_us, first_chunk_p95_us,
    surfaces, note
from report_latency($since, $until, $host, $model, $endpoint, $min_count, $by, $routes)
order by is_all, name, list_position(['answered', 'suspected', 'failed', 'cancelled'], fate)
