-- ---
-- name     = "client-vs-server"
-- title    = "What the server said, and what its clients got"
-- question = "What did the server call 200 that the client never got?"
-- common   = ["since", "until", "host", "model", "endpoint"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "server_status", type = "smallint", meaning = "Status of the access line; empty: no line was found for the call"},
--   {name = "client_outcome", type = "varchar", meaning = "How the call ended for the client"},
--   {name = "client_status", type = "smallint", meaning = "Status the client got; empty: none came, or it broke before"},
--   {name = "call_count", type = "bigint", meaning = "Calls"},
--   {name = "share", type = "double", unit = "share", meaning = "call_count of all calls"},
--   {name = "certain_count", type = "bigint", meaning = "Of these, linked to their line with certainty"},
--   {name = "is_contradiction", type = "boolean", meaning = "The server says 200 and the client did not get an answer"},
--   {name = "median_us", below = true, type = "bigint", unit = "us", meaning = "Median duration the client saw"},
--   {name = "overhead_us", below = true, type = "bigint", unit = "us", meaning = "Median of what the call took longer than the access line"},
--   {name = "codes", below = true, type = "varchar", meaning = "Causes of the calls, the most frequent ones first"},
--   {name = "clients", below = true, type = "varchar", meaning = "Libraries that called"},
--   {name = "example_call_id", below = true, type = "bigint", meaning = "The latest of these calls"},
-- ]
-- ---
with pairs as (
    select c.*, r.status as line_status, c.duration_ms - r.duration_us / 1000.0 as overhead_ms
    from calls as c
    left join requests as r on r.request_id = c.request_id
    left join server_sessions as s on s.session_id = r.session_id
    where coalesce(c.ts_end >= $since, $since is null) and coalesce(c.ts_end < $until, $until is null) and coalesce(s.host = $host, $host is null)
      and coalesce(c.model = $model, $model is null) and coalesce(c.endpoint = $endpoint, $endpoint is null)
),
kinds as (
    select line_status, outcome, http_status, code, count(*) as n
    from pairs where code is not null
    group by line_status, outcome, http_status, code
),
causes_of as (
    select line_status, outcome, http_status, string_agg(code || ' ' || n, ', ' order by n desc, code) as codes
    from (select *, row_number() over (partition by line_status, outcome, http_status order by n desc, code) as place from kinds) as k
    where place <= 3
    group by line_status, outcome, http_status
)
select p.line_status as server_status, p.outcome as client_outcome, p.http_status as client_status, count(*) as call_count,
    count(*) / cast(sum(count(*)) over () as double) as share, count(*) filter (where p.link_confidence = 'certain') as certain_count,
    coalesce(p.line_status = 200 and p.outcome not in ('completed', 'cancelled_by_client', 'not_observable'), false) as is_contradiction,
    cast(median(p.duration_ms) * 1000 as bigint) as median_us, cast(median(p.overhead_ms) * 1000 as bigint) as overhead_us, any_value(k.codes) as codes,
    string_agg(distinct p.client, ', ' order by p.client) as clients, arg_max(p.call_id, p.ts_end) as example_call_id
from pairs as p
left join causes_of as k on k.line_status is not distinct from p.line_status and k.outcome = p.outcome and k.http_status is not distinct from p.http_status
group by p.line_status, p.outcome, p.http_status
order by is_contradiction desc, call_count desc, server_status nulls last, client_outcome, client_status nulls last
