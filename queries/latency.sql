-- ---
-- name     = "latency"
-- title    = "How long requests take"
-- question = "How long do requests take, apart by how they ended, and is it the load of a model that makes them slow?"
-- common   = ["since", "until", "host", "model", "endpoint", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "name", type = "varchar", meaning = "Route, or what --param by=… names; the last rows are all of them, except by=surface, where a request may be seen several times"},
--   {name = "fate", type = "varchar", meaning = "answered (completed, or a 200 that nothing speaks against), suspected (a 200 over the death of a runner), failed, cancelled: never mixed"},
--   {name = "request_count", type = "bigint", meaning = "Requests; one that several saw counts once, where it was seen nearest to the model (with by=surface once at each)"},
--   {name = "timed_count", below = true, type = "bigint", meaning = "Those of them whose duration is known: the denominator of the percentiles"},
--   {name = "p50_us", type = "bigint", unit = "us", meaning = "Half took no longer; empty below --min-count"},
--   {name = "p90_us", type = "bigint", unit = "us", meaning = "90 % took no longer; empty below --min-count"},
--   {name = "p95_us", type = "bigint", unit = "us", meaning = "95 % took no longer; empty below --min-count"},
--   {name = "p99_us", type = "bigint", unit = "us", meaning = "99 % took no longer; empty below five times --min-count"},
--   {name = "max_us", type = "bigint", unit = "us", meaning = "The longest"},
--   {name = "warm_count", below = true, type = "bigint", meaning = "Requests of runs whose loads are known, without a load inside; only access lines of Ollama"},
--   {name = "warm_p50_us", below = true, type = "bigint", unit = "us", meaning = "Their median"},
--   {name = "warm_p95_us", below = true, type = "bigint", unit = "us", meaning = "Their 95th percentile"},
--   {name = "cold_count", below = true, type = "bigint", meaning = "Requests with a load of a model inside that may be theirs"},
--   {name = "cold_p50_us", below = true, type = "bigint", unit = "us", meaning = "Their median"},
--   {name = "load_p50_us", below = true, type = "bigint", unit = "us", meaning = "Median of those loads"},
--   {name = "first_chunk_count", below = true, type = "bigint", meaning = "Requests whose client noted when the first piece of the answer came"},
--   {name = "first_chunk_p50_us", below = true, type = "bigint", unit = "us", meaning = "Median until the first piece"},
--   {name = "first_chunk_p95_us", below = true, type = "bigint", unit = "us", meaning = "95th percentile until the first piece"},
--   {name = "surfaces", below = true, type = "varchar", meaning = "Whose clock, and for how many: ollama (access line), gateway, client"},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no percentile"},
-- ]
-- param.by = {type = "varchar", choices = ["endpoint", "model", "version", "status", "client", "surface"], default = "endpoint", help = "What requests are grouped by"}
-- param.routes = {type = "varchar", choices = ["inference", "all"], default = "inference", help = "Routes of inference, or all but polls"}
-- ---
with loads_inside as materialized (select request_id, load_seq, load_us, is_own from waits),
chosen as (
    select m.*, w.load_us, case when w.load_seq is not null and coalesce(w.is_own, true) then 'cold' when w.load_seq is null and m.surface = 'ollama' and m.session_id in (select session_id from model_loads) then 'warm' end as state,
        coalesce(case $by when 'model' then m.model when 'version' then m.version when 'status' then cast(m.status as varchar) when 'client' then m.client when 'surface' then m.surface else m.endpoint end, '?') as name
    from measures as m left join loads_inside as w on w.request_id = m.request_id and m.surface = 'ollama'
    where (m.is_nearest or $by = 'surface') and (m.is_inference or $routes = 'all') and coalesce(m.ts_end >= $since, $since is null) and coalesce(m.ts_end < $until, $until is null)
      and coalesce(m.host = $host, $host is null) and coalesce(m.model = $model, $model is null) and coalesce(m.endpoint = $endpoint, $endpoint is null)
),
counted as (
    select case when grouping(name) = 1 then 'all' else name end as name, grouping(name) as is_all, fate, count(*) as request_count, count(duration_us) as n, quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99]) as p, max(duration_us) as longest,
        count(duration_us) filter (where state = 'warm') as warm_n, quantile_cont(duration_us, [0.5, 0.95]) filter (where state = 'warm') as warm, count(duration_us) filter (where state = 'cold') as cold_n,
        quantile_cont(duration_us, 0.5) filter (where state = 'cold') as cold, quantile_cont(load_us, 0.5) filter (where state = 'cold') as load, count(first_chunk_ms) as first_n, quantile_cont(first_chunk_ms * 1000, [0.5, 0.95]) as first,
        concat_ws(', ', 'ollama ' || nullif(count(*) filter (where surface = 'ollama'), 0), 'gateway ' || nullif(count(*) filter (where surface = 'gateway'), 0), 'client ' || nullif(count(*) filter (where surface = 'client'), 0)) as surfaces
    from chosen group by grouping sets ((name, fate), (fate))
)
select name, fate, request_count, n as timed_count, cast(case when n >= $min_count then p[1] end as bigint) as p50_us, cast(case when n >= $min_count then p[2] end as bigint) as p90_us, cast(case when n >= $min_count then p[3] end as bigint) as p95_us, cast(case when n >= 5 * $min_count then p[4] end as bigint) as p99_us,
    longest as max_us, warm_n as warm_count, cast(case when warm_n >= $min_count then warm[1] end as bigint) as warm_p50_us, cast(case when warm_n >= $min_count then warm[2] end as bigint) as warm_p95_us, cold_n as cold_count, cast(case when cold_n >= $min_count then cold end as bigint) as cold_p50_us,
    cast(case when cold_n >= $min_count then load end as bigint) as load_p50_us, first_n as first_chunk_count, cast(case when first_n >= $min_count then first[1] end as bigint) as first_chunk_p50_us, cast(case when first_n >= $min_count then first[2] end as bigint) as first_chunk_p95_us,
    surfaces, case when n < $min_count then 'too few: ' || n || ' of ' || $min_count end as note
from counted where is_all = 0 or $by <> 'surface'
order by is_all, name, list_position(['answered', 'suspected', 'failed', 'cancelled'], fate)
