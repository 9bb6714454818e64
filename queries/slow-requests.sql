-- ---
-- name     = "slow-requests"
-- title    = "The slowest requests"
-- question = "Which requests took longest, and why, if the log shows it?"
-- common   = ["since", "until", "host", "model", "endpoint", "code"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "ts_start", type = "timestamptz", meaning = """When it began: its end less its duration; access lines \
--      have whole seconds"""},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = "How long it took"},
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "model", type = "varchar", meaning = "Model, where the log proves it"},
--   {name = "status", type = "smallint", meaning = "Status that was sent"},
--   {name = "fate", below = true, type = "varchar", meaning = """answered (completed, or a 200 that nothing \
--      contradicts), suspected (a 200 over the death of a runner), failed, cancelled"""},
--   {name = "why", below = true, type = "varchar", meaning = """What in the store explains a slow request; empty \
--      when nothing: a long prompt or a long answer is the likely reason"""},
--   {name = "load_us", below = true, type = "bigint", unit = "us", meaning = """Time in which models were loaded \
--      while it was on its way"""},
--   {name = "beside_count", below = true, type = "bigint", meaning = """Other requests that were on their way when \
--      it began"""},
--   {name = "num_parallel", below = true, type = "integer", meaning = """Requests its model takes at a time, where \
--      its load is sure; beside_count counts those of all models"""},
--   {name = "layers", below = true, type = "varchar", meaning = "Layers on a GPU / layers of the model"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the cause when it failed"},
--   {name = "surface", below = true, type = "varchar", meaning = "Whose clock gave it: ollama, gateway, client"},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server"},
--   {name = "event_id", below = true, type = "bigint", meaning = "Its record in events"},
-- ]
-- param.limit = {type = "integer", default = 20, help = "How many requests are shown"}
-- [param.routes]
-- type = "varchar"
-- choices = ["inference", "all"]
-- default = "inference"
-- help = "Inference routes, or all except polls"
-- ---
select
    ts_start, duration_us, endpoint, model, status, fate, why, load_us, beside_count, num_parallel, layers, code,
    surface, host, session_id, event_id
from report_slow_requests($since, $until, $host, $model, $endpoint, $code, $routes, $limit)
order by duration_us desc, event_id desc
