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
--   {name = "model", type = "varchar", meaning = "Model, else the digest of its file"},
--   {name = "device", type = "varchar", meaning = "Device the log names, or host"},
--   {name = "needed_bytes", type = "bigint", unit = "bytes", meaning = "What was needed; without free_bytes perhaps only the buffer that failed"},
--   {name = "free_bytes", type = "bigint", unit = "bytes", meaning = "What was free: on the device less what the load had taken, or as the scheduler saw it"},
--   {name = "missing_bytes", type = "bigint", unit = "bytes", meaning = "needed_bytes less free_bytes, where that is positive"},
--   {name = "layers", below = true, type = "varchar", meaning = "Layers on a GPU / layers of the model"},
--   {name = "num_ctx", below = true, type = "bigint", meaning = "Context per request, tokens"},
--   {name = "num_parallel", below = true, type = "integer", meaning = "Requests at once"},
--   {name = "kv_cache_type", below = true, type = "varchar", meaning = "Type of the key/value cache"},
--   {name = "models_beside", below = true, type = "varchar", meaning = "Models loaded then: their keep-alive had not passed"},
--   {name = "request_count", below = true, type = "bigint", meaning = "Requests it took with it"},
--   {name = "would_fit_with", below = true, type = "varchar", meaning = "The single change that would have fitted and costs the answers least; all of them, with the formula: --explain"},
--   {name = "note", below = true, type = "varchar", meaning = "Which number the log does not give"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do"},
--   {name = "incident_id", below = true, type = "bigint", meaning = "Number of the incident"},
-- ]
-- ---
with chosen as (
    select * from memory_failures
    where coalesce(first_ts >= $since, $since is null) and coalesce(first_ts < $until, $until is null)
      and coalesce(host = $host, $host is null) and ($model is null or $model = any(models)) and coalesce(code = $code, $code is null)
),
best as (select incident_id, arg_min(change, rank) as change from memory_changes group by incident_id),
beside as (select incident_id, string_agg(model || coalesce(' (' || sized(byte_count) || ')', ''), ', ' order by load_seq) as models from models_beside group by incident_id)
select c.first_ts, c.code, c.model, c.device, c.needed_bytes, c.free_bytes, c.missing_bytes,
    case when c.layers_total > 0 then coalesce(c.layers_offloaded, 0) || '/' || c.layers_total end as layers, c.num_ctx, c.num_parallel, c.kv_cache_type,
    b.models as models_beside, c.request_count, f.change as would_fit_with,
    case when c.needed_bytes is null and c.free_bytes is null then 'missing: needed, free' when c.needed_bytes is null then 'missing: needed'
         when c.free_bytes is null then 'missing: free' when c.missing_bytes is null then 'the log shows enough free: other users, fragments, or several devices'
         when f.change is null and c.kv_bytes is null and c.weights_bytes is null then 'missing: the sizes of weights and KV cache'
         when f.change is null then 'no single change of what the log tells would have fitted' end as note,
    c.remedy, c.incident_id
from chosen as c
left join best as f on f.incident_id = c.incident_id
left join beside as b on b.incident_id = c.incident_id
order by c.first_ts desc nulls last, c.incident_id desc
