-- ---
-- name     = "model-loads"
-- title    = "Loads of models, newest first"
-- question = "Which models were loaded, how long did it take, how much memory did they want, and which loads failed?"
-- common   = ["since", "until", "host", "model", "code"]
-- coverage = ["unknown", "undated", "crashes", "sessions"]
-- columns  = [
--   {name = "ts", type = "timestamptz", meaning = "When the runner was started, or the load was refused"},
--   {name = "model", type = "varchar", meaning = "Model, else the title in its file, else the digest of it"},
--   {name = "version", below = true, type = "varchar", meaning = "Version of Ollama"},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = "Until it was ready or gave up; empty when no runner was started or the end is not in the log"},
--   {name = "num_ctx", type = "bigint", meaning = "Context per request, tokens"},
--   {name = "num_parallel", below = true, type = "integer", meaning = "Requests it takes at a time"},
--   {name = "kv_cache_type", below = true, type = "varchar", meaning = "Type of the key/value cache; empty: the log does not name it"},
--   {name = "layers", type = "varchar", meaning = "Layers on a GPU / layers of the model; ? when it failed before the log tells how many"},
--   {name = "weights_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory of the weights"},
--   {name = "kv_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory of the key/value cache"},
--   {name = "graph_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Memory to compute in"},
--   {name = "required_bytes", type = "bigint", unit = "bytes", meaning = "What the log says was needed, all devices together"},
--   {name = "available_bytes", type = "bigint", unit = "bytes", meaning = "What the log says was free for it before"},
--   {name = "outcome", type = "varchar", meaning = "loaded, failed, oom, or unknown (the end is not in the log)"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the cause when it failed"},
--   {name = "cause", below = true, type = "varchar", meaning = "That cause in a sentence"},
--   {name = "waiting_count", below = true, type = "bigint", meaning = "Requests that were on their way during all of it, without those known to be of another model"},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server"},
--   {name = "event_id", below = true, type = "bigint", meaning = "Record that starts it"},
-- ]
-- [param.outcome]
-- type = "varchar"
-- choices = ["loaded", "failed", "oom", "unknown"]
-- help = "Only loads that ended so"
-- [param.limit]
-- type = "integer"
-- default = 100
-- help = "How many loads are shown"
-- ---
with chosen as (
    select l.*, s.version, s.host
    from model_loads as l
    left join server_sessions as s on s.session_id = l.session_id
    where coalesce(l.ts_start >= $since, $since is null) and coalesce(l.ts_start < $until, $until is null) and coalesce(s.host = $host, $host is null)
      and ($model is null or $model in (l.model, l.title, l.blob)) and coalesce(l.code = $code, $code is null) and coalesce(l.outcome = $outcome, $outcome is null)
    order by l.ts_start desc nulls last, l.load_seq desc
    limit $limit
),
waiting as (
    select l.load_seq, count(*) as n
    from chosen as l inner join requests as r on r.session_id = l.session_id and r.event_id > l.last_event_id and r.ts_start <= l.ts_start and r.duration_us >= l.duration_us
    where r.is_inference and r.surface = 'ollama' and (r.model is null or l.model is null or r.model in (l.model, l.blob)) group by l.load_seq
)
select l.ts_start as ts, coalesce(l.model, l.title, l.blob) as model, l.version, l.host, l.duration_us, l.num_ctx, l.num_parallel, l.kv_cache_type,
    coalesce(cast(l.layers_offloaded as varchar), '?') || '/' || l.layers_total as layers, l.weights_bytes, l.kv_bytes, l.graph_bytes, l.required_bytes, l.available_bytes,
    l.outcome, l.code, c.title as cause, coalesce(w.n, 0) as waiting_count, l.session_id, l.load_seq as event_id
from chosen as l
left join causes as c on c.code = l.code
left join waiting as w on w.load_seq = l.load_seq
order by l.ts_start desc nulls last, l.load_seq desc
