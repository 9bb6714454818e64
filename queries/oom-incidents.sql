-- ---
-- name      = "oom-incidents"
-- title     = "Memory failures, newest first"
-- question  = "What did not fit where, by how much, and what would have fitted?"
-- common    = ["since", "until", "host", "model", "code"]
-- coverage  = ["unknown", "undated", "crashes"]
-- explained = "oom-changes"
-- columns   = [
--   {name = "first_ts", type = "timestamptz", meaning = "When it began"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the root cause"},
--   {name = "model", type = "varchar", meaning = "Model, or else the digest of its file"},
--   {name = "device", type = "varchar", meaning = "Device that the log names, or host"},
--   {name = "needed_bytes", type = "bigint", unit = "bytes", meaning = """What was needed; without free_bytes \
--      perhaps only the buffer that failed"""},
--   {name = "free_bytes", type = "bigint", unit = "bytes", meaning = """What was free: on the device less what the \
--      load had taken, or as the scheduler saw it"""},
--   {name = "missing_bytes", type = "bigint", unit = "bytes", meaning = """needed_bytes less free_bytes, where that \
--      is positive"""},
--   {name = "layers", below = true, type = "varchar", meaning = "Layers on a GPU / layers of the model"},
--   {name = "num_ctx", below = true, type = "bigint", meaning = "Context per request, tokens"},
--   {name = "num_parallel", below = true, type = "integer", meaning = "Requests at once"},
--   {name = "kv_cache_type", below = true, type = "varchar", meaning = "Type of the key/value cache"},
--   {name = "models_beside", below = true, type = "varchar", meaning = """Models loaded then: their keep-alive had \
--      not passed"""},
--   {name = "request_count", below = true, type = "bigint", meaning = "Requests that it hit"},
--   {name = "would_fit_with", below = true, type = "varchar", meaning = """The single change that would have fitted \
--      and costs the answers least; all of them, with the formula: --explain"""},
--   {name = "note", below = true, type = "varchar", meaning = "Which number the log does not give"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do"},
--   {name = "incident_id", below = true, type = "bigint", meaning = "Number of the incident"},
-- ]
-- ---
select
    first_ts, code, model, device, needed_bytes, free_bytes, missing_bytes, layers, num_ctx, num_parallel,
    kv_cache_type, models_beside, request_count, would_fit_with, note, remedy, incident_id
from report_oom_incidents($since, $until, $host, $model, $code)
order by first_ts desc nulls last, incident_id desc
