-- ---
-- name     = "oom-incidents"
-- title    = "Memory failures, newest first"
-- question = "What did not fit where, and by how much?"
-- common   = ["since", "until", "host", "model", "code"]
-- coverage = ["unknown", "undated", "crashes"]
-- columns  = [
--   {name = "first_ts", type = "timestamptz", meaning = "When it began"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the root cause"},
--   {name = "model", type = "varchar", meaning = "Model, else the digest of its file"},
--   {name = "device", type = "varchar", meaning = "Device the log names, or host"},
--   {name = "needed_bytes", type = "bigint", unit = "bytes", meaning = "What was needed; without free_bytes perhaps only the buffer that failed"},
--   {name = "free_bytes", type = "bigint", unit = "bytes", meaning = "What the log says was free"},
--   {name = "missing_bytes", type = "bigint", unit = "bytes", meaning = "needed_bytes less free_bytes, where that is positive"},
--   {name = "layers", below = true, type = "varchar", meaning = "Layers on a GPU / layers of the model"},
--   {name = "num_ctx", below = true, type = "bigint", meaning = "Context per request, tokens"},
--   {name = "request_count", below = true, type = "bigint", meaning = "Requests it took with it"},
--   {name = "note", below = true, type = "varchar", meaning = "Which number the log does not give"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do"},
--   {name = "incident_id", below = true, type = "bigint", meaning = "Number of the incident"},
-- ]
-- ---
with said as (  -- what the records of an incident tell; a bare number is a CUDA device
    select incident_id, max(regexp_replace(device, '^([0-9]+)$', 'CUDA\1')) as device, max(needed_bytes) as needed, max(free_bytes) as free,
        max(buffer_bytes) as size, max(layers_offloaded) || '/' || max(layers_total) as layers, max(num_ctx) as num_ctx
    from errors where category = 'memory' group by incident_id
),
loads_near as (  -- the last load begun before the root record; another model's load says nothing
    select i.incident_id, l.*, row_number() over (partition by i.incident_id order by l.load_seq desc) as nearness
    from incidents as i inner join causes as c on c.code = i.code and c.category = 'memory' inner join model_loads as l on l.source_id = i.source_id and l.session_id = i.session_id
      and l.first_event_id <= i.root_event_id and (l.model is null or i.models[1] is null or l.model = any(i.models))
),
numbers as (
    -- One buffer (size) is never compared with what was free before the load: only like numbers make missing_bytes.
    select i.*, coalesce(r.remedy, c.remedy) as remedy, coalesce(d.device, case when c.layer = 'os' or c.cause = 'load_oom_system' then 'host' end) as device, coalesce(d.num_ctx, l.num_ctx) as num_ctx, coalesce(i.models[1], l.model, l.blob) as model,
        cast(coalesce(d.needed, case when d.size is null or b.available_bytes is not null then b.required_bytes end, d.size) as bigint) as needed,
        cast(coalesce(d.free, case when coalesce(d.needed, b.required_bytes) is not null or d.size is null then b.available_bytes end) as bigint) as free,
        coalesce(d.layers, l.layers_offloaded || '/' || l.layers_total) as layers
    from incidents as i inner join causes as c on c.code = i.code and c.category = 'memory'
    left join errors as r on r.event_id = i.root_event_id
    left join said as d on d.incident_id = i.incident_id
    left join loads_near as l on l.incident_id = i.incident_id and l.nearness = 1
    left join loads_near as b on b.incident_id = i.incident_id and b.nearness = 1 and c.phase = 'load' and b.outcome <> 'loaded'
    left join server_sessions as s on s.session_id = i.session_id
    where coalesce(i.first_ts >= $since, $since is null) and coalesce(i.first_ts < $until, $until is null)
      and coalesce(s.host = $host, $host is null) and ($model is null or $model = any(i.models)) and coalesce(i.code = $code, $code is null)
)
select first_ts, code, model, device, needed as needed_bytes, free as free_bytes,
    case when needed > free then needed - free end as missing_bytes, layers, num_ctx, request_count,
    case when needed is null and free is null then 'missing: needed, free' when needed is null then 'missing: needed'
         when free is null then 'missing: free' when needed <= free then 'the log shows enough free: other users or fragments' end as note,
    remedy, incident_id
from numbers order by first_ts desc nulls last, incident_id desc
