-- ---
-- name     = "slow-requests"
-- title    = "The slowest requests"
-- question = "Which requests took longest, and why, where the log can tell?"
-- common   = ["since", "until", "host", "model", "endpoint", "code"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "ts_start", type = "timestamptz", meaning = "When it began: its end less its duration; access lines have whole seconds"},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = "How long it took"},
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "model", type = "varchar", meaning = "Model, where the log proves it"},
--   {name = "status", type = "smallint", meaning = "Status that was sent"},
--   {name = "fate", below = true, type = "varchar", meaning = "answered (completed, or a 200 that nothing speaks against), suspected (a 200 over the death of a runner), failed, cancelled"},
--   {name = "why", below = true, type = "varchar", meaning = "What the store knows that makes a request slow; empty when nothing: a long prompt or a long answer is the likely reason"},
--   {name = "load_us", below = true, type = "bigint", unit = "us", meaning = "Time in which models were loaded while it was on its way"},
--   {name = "beside_count", below = true, type = "bigint", meaning = "Other requests that were on their way when it began"},
--   {name = "num_parallel", below = true, type = "integer", meaning = "Requests its model takes at a time, where its load is sure; beside_count counts those of all models"},
--   {name = "layers", below = true, type = "varchar", meaning = "Layers on a GPU / layers of the model"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the cause when it failed"},
--   {name = "surface", below = true, type = "varchar", meaning = "Whose clock: ollama, gateway, client"},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server"},
--   {name = "event_id", below = true, type = "bigint", meaning = "Its record in events"},
-- ]
-- param.limit = {type = "integer", default = 20, help = "How many requests are shown"}
-- param.routes = {type = "varchar", choices = ["inference", "all"], default = "inference", help = "Routes of inference, or all but polls"}
-- ---
with slowest as (
    select * from measures
    where is_nearest and duration_us is not null and (is_inference or $routes = 'all') and coalesce(ts_end >= $since, $since is null) and coalesce(ts_end < $until, $until is null)
      and coalesce(host = $host, $host is null) and coalesce(model = $model, $model is null) and coalesce(endpoint = $endpoint, $endpoint is null) and coalesce(code = $code, $code is null)
    order by duration_us desc, event_id desc limit $limit
),
loads as (  -- inside it; the times of access lines are cut to whole seconds
    select s.event_id, coalesce(l.model, l.title, l.blob, 'a model') as model, l.outcome, l.duration_us, l.load_seq, case when s.model in (l.model, l.blob) then true when s.model is not null and l.model is not null then false end as is_own
    from slowest as s inner join model_loads as l on l.session_id = s.session_id and l.ts_start between s.ts_start and s.ts_end + interval '1' second and l.last_event_id < s.event_id and l.duration_us <= s.duration_us
),
waited as (
    select event_id, cast(sum(duration_us) as bigint) as load_us, string_agg(case when is_own = false then 'meanwhile a load of another model: ' when outcome = 'loaded' then 'a load: ' else 'a load that came to nothing: ' end || model || ' ' || duration_text(duration_us), ', ' order by load_seq) as texts
    from loads group by event_id
),
runners as (  -- its model where that is sure: by name, because its load is inside, or because the run loaded one file only
    select s.event_id, max_by({'num_parallel': m.num_parallel, 'layers_offloaded': m.layers_offloaded, 'layers_total': m.layers_total}, m.load_seq) as l
    from slowest as s inner join model_loads as m on m.session_id = s.session_id and m.outcome = 'loaded' and m.last_event_id < s.event_id and (s.model in (m.model, m.blob) or m.load_seq in (select i.load_seq from loads as i where i.event_id = s.event_id and i.is_own is null)
        or s.session_id in (select session_id from model_loads where outcome = 'loaded' group by session_id having count(distinct coalesce(blob, model, title)) = 1)) group by s.event_id
),
beside as (
    select s.event_id, count(*) as n from slowest as s inner join requests as r on r.session_id = s.session_id and r.ts_end between s.ts_start and s.ts_start + interval '1' day and r.ts_start < s.ts_start and r.event_id <> s.event_id and r.is_inference and r.surface = 'ollama' group by s.event_id
),
noticed as (
    select s.event_id, 'meanwhile: ' || string_agg(distinct rtrim(c.title, '.'), ', ' order by rtrim(c.title, '.')) as texts
    from slowest as s inner join events as e on e.session_id = s.session_id and e.ts between s.ts_start and s.ts_end + interval '1' second and e.event_id <= s.event_id inner join causes as c on c.code = e.code
    where c.cause in ('context_shift', 'prompt_truncated', 'kv_cache_full', 'eviction', 'oom_retry', 'alloc_retry', 'vram_not_recovered', 'runner_busy', 'load_timeout', 'runner_unhealthy') and e.code is distinct from s.code group by s.event_id
)
select s.ts_start, s.duration_us, s.endpoint, s.model, s.status, s.fate,
    nullif(concat_ws('; ', rtrim(c.title, '.'), w.texts, case when b.n >= l.num_parallel then b.n || ' more on their way, its model takes ' || l.num_parallel || ' at a time' end, n.texts,
        case when l.layers_offloaded = 0 then 'all layers on the CPU' when l.layers_offloaded < l.layers_total then l.layers_total - l.layers_offloaded || ' of ' || l.layers_total || ' layers on the CPU' end, 'attempt ' || nullif(s.attempt, 1) || ' of its client'), '') as why,
    w.load_us, coalesce(b.n, 0) as beside_count, l.num_parallel, l.layers_offloaded || '/' || l.layers_total as layers, s.code, s.surface, s.host, s.session_id, s.event_id
from slowest as s left join causes as c on c.code = s.code left join waited as w on w.event_id = s.event_id left join beside as b on b.event_id = s.event_id left join noticed as n on n.event_id = s.event_id left join (select event_id, l.num_parallel, l.layers_offloaded, l.layers_total from runners) as l on l.event_id = s.event_id
order by s.duration_us desc, s.event_id desc
