-- ---
-- name     = "model-loads"
-- title    = "Loads of models, newest first"
-- question = "Which models were loaded, how long did it take, how much memory did they need, and which loads failed?"
-- common   = ["since", "until", "host", "model", "code"]
-- coverage = ["unknown", "undated", "crashes", "sessions"]
-- columns  = [
--   {name = "ts", type = "timestamptz", meaning = "When the runner was started, or the load was refused"},
--   {name = "model", type = "varchar", meaning = """Model, or else the title in its file, or else the digest of the \
--      file"""},
--   {name = "version", below = true, type = "varchar", meaning = "Version of Ollama"},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = """Until it was ready or gave up; empty when no \
--      runner was started or the end is not in the log"""},
--   {name = "num_ctx", type = "bigint", meaning = "Context per request, tokens"},
--   {name = "num_parallel", below = true, type = "integer", meaning = "Requests it takes at a time"},
--   {name = "kv_cache_type", below = true, type = "varchar", meaning = """Type of the key/value cache; empty: the \
--      log does not name it"""},
--   {name = "layers", type = "varchar", meaning = """Layers on a GPU / layers of the model; ? when it failed before \
--      the log gives their number"""},
--   {name = "weights_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory of the weights"},
--   {name = "kv_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory of the key/value cache"},
--   {name = "graph_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory for computing"},
--   {name = "required_bytes", type = "bigint", unit = "bytes", meaning = """Memory needed according to the log, on \
--      all devices together"""},
--   {name = "available_bytes", type = "bigint", unit = "bytes", meaning = """Memory free for it before, according \
--      to the log"""},
--   {name = "outcome", type = "varchar", meaning = "loaded, failed, oom, or unknown (the end is not in the log)"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the cause when it failed"},
--   {name = "cause", below = true, type = "varchar", meaning = "That cause in a sentence"},
--   {name = "waiting_count", below = true, type = "bigint", meaning = """Requests that were on their way during all \
--      of it, without those known to be of another model"""},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server"},
--   {name = "event_id", below = true, type = "bigint", meaning = "Record that starts it"},
-- ]
-- [param.outcome]
-- type = "varchar"
-- choices = ["loaded", "failed", "oom", "unknown"]
-- help = "Only loads that ended like this"
-- [param.limit]
-- type = "integer"
-- default = 100
-- help = "How many loads are shown"
-- ---
select
    ts, model, version, host, duration_us, num_ctx, num_parallel, kv_cache_type, layers, weights_bytes, kv_bytes,
    graph_bytes, required_bytes, available_bytes, outcome, code, cause, waiting_count, session_id, event_id
from report_model_loads($since, $until, $host, $model, $code, $outcome, $limit)
order by ts desc nulls last, event_id desc
