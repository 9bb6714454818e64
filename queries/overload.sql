-- ---
-- name     = "overload"
-- title    = "Requests turned away"
-- question = "How many requests were turned away because of too much load, where, and how long were they asked to wait?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["undated", "rejects", "guesses"]
-- columns  = [
--   {name = "seen_at", type = "varchar", meaning = "ollama (its access lines), gateway, or client; a request that several saw is counted at the first of them"},
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "model", type = "varchar", meaning = "Model, where it is known"},
--   {name = "status", type = "smallint", meaning = "Status that was sent"},
--   {name = "code", type = "varchar", meaning = "Code of the cause: a full queue, a limit of requests, maintenance"},
--   {name = "turned_away_count", type = "bigint", meaning = "Requests turned away: the numerator"},
--   {name = "request_count", below = true, type = "bigint", meaning = "All requests of the route and model seen there: the denominator"},
--   {name = "share", type = "double", unit = "share", meaning = "turned_away_count of request_count; empty below --min-count"},
--   {name = "worst_ts", type = "timestamptz", meaning = "The hour (of UTC) with most of them"},
--   {name = "worst_count", type = "bigint", meaning = "How many in that hour"},
--   {name = "retry_after_s", type = "bigint", meaning = "Longest pause the answers asked for, seconds"},
--   {name = "maintenance_until", below = true, type = "varchar", meaning = "Latest end of a maintenance that was announced"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last seen"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
-- ]
-- ---
with asked as (
    select r.surface as seen_at, r.endpoint, r.model, r.status, r.code, r.ts_end as ts, e.retry_after_s, e.maintenance_until, s.host
    from requests as r
    left join requests as o on o.request_id = r.answered_by
    left join errors as e on e.event_id = r.event_id
    left join server_sessions as s on s.session_id = r.session_id
    where not r.is_poll and o.request_id is null
    union all
    select 'client', c.endpoint, c.model, c.http_status, c.code, c.ts_end, cast(c.retry_after_s as bigint), cast(c.maintenance_until as varchar), c.host
    from calls as c
    where c.request_id is null and not exists (
        select 1 from requests as g
        where g.surface = 'gateway' and g.endpoint = c.endpoint and g.status = c.http_status and g.ts_end between c.ts_end - interval '2' second and c.ts_end + interval '1' second)
),
judged as (  -- a 503 of a gateway without a channel for the model is no load: the cause decides, not the status
    select a.*, date_trunc('hour', a.ts at time zone 'UTC') at time zone 'UTC' as hour, c.category = 'overload' as is_away, count(*) over (partition by a.seen_at, a.endpoint, a.model) as request_count
    from asked as a left join causes as c on c.code = a.code
    where coalesce(a.ts >= $since, $since is null) and coalesce(a.ts < $until, $until is null) and coalesce(a.host = $host, $host is null)
      and coalesce(a.model = $model, $model is null) and coalesce(a.endpoint = $endpoint, $endpoint is null)
),
hours as (
    select seen_at, endpoint, model, status, code, hour, count(*) as n, any_value(request_count) as request_count, max(retry_after_s) as retry_after_s,
        max(maintenance_until) as maintenance_until, min(ts) as first_ts, max(ts) as last_ts
    from judged where is_away and coalesce(code = $code, $code is null)
    group by seen_at, endpoint, model, status, code, hour
)
select h.seen_at, h.endpoint, h.model, h.status, h.code, cast(sum(h.n) as bigint) as turned_away_count, any_value(h.request_count) as request_count,
    case when any_value(h.request_count) >= $min_count then cast(sum(h.n) as double) / any_value(h.request_count) end as share,
    max_by(h.hour, row(h.n, -epoch(h.hour))) as worst_ts, max(h.n) as worst_count, max(h.retry_after_s) as retry_after_s, max(h.maintenance_until) as maintenance_until,
    min(h.first_ts) as first_ts, max(h.last_ts) as last_ts, any_value(split_part(c.remedy, '. ', 1)) as remedy
from hours as h left join causes as c on c.code = h.code
group by h.seen_at, h.endpoint, h.model, h.status, h.code
order by turned_away_count desc, h.seen_at, h.endpoint nulls last, h.model nulls last, h.status nulls last, h.code
