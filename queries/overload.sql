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
    select r.surface as seen_at, r.endpoint, r.model, r.status, r.code, r.ts_end as ts, r.event_id, null as retry_after_s, null as maintenance_until, s.host
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where not r.is_poll and r.answered_by is null
    union all
    select 'client', c.endpoint, c.model, c.http_status, c.code, c.ts_end, null, cast(c.retry_after_s as bigint), cast(c.maintenance_until as varchar), c.host
    from calls as c
    where c.request_id is null and not exists (
        select 1 from requests as g
        where g.surface = 'gateway' and g.endpoint = c.endpoint and g.status = c.http_status and g.ts_end between c.ts_end - interval '2' second and c.ts_end + interval '1' second)
),
chosen as (
    select * from asked
    where coalesce(ts >= $since, $since is null) and coalesce(ts < $until, $until is null) and coalesce(host = $host, $host is null)
      and coalesce(model = $model, $model is null) and coalesce(endpoint = $endpoint, $endpoint is null)
),
hours as (  -- a 503 of a gateway without a channel for the model is no load: the cause decides, not the status
    select h.*, a.request_count
    from (
        select t.seen_at, t.endpoint, t.model, t.status, t.code, date_trunc('hour', t.ts at time zone 'UTC') at time zone 'UTC' as hour, c.remedy, count(*) as n,
            max(coalesce(t.retry_after_s, e.retry_after_s)) as retry_after_s, max(coalesce(t.maintenance_until, e.maintenance_until)) as maintenance_until, min(t.ts) as first_ts, max(t.ts) as last_ts
        from chosen as t inner join causes as c on c.code = t.code and c.category = 'overload' and coalesce(c.code = $code, $code is null)
        left join errors as e on e.event_id = t.event_id
        group by t.seen_at, t.endpoint, t.model, t.status, t.code, 6, c.remedy
    ) as h
    inner join (select seen_at, endpoint, model, count(*) as request_count from chosen group by seen_at, endpoint, model) as a
        on a.seen_at = h.seen_at and a.endpoint is not distinct from h.endpoint and a.model is not distinct from h.model
)
select seen_at, endpoint, model, status, code, cast(sum(n) as bigint) as turned_away_count, cast(any_value(request_count) as bigint) as request_count,
    case when any_value(request_count) >= $min_count then cast(sum(n) as double) / any_value(request_count) end as share,
    max_by(hour, row(n, -epoch(hour))) as worst_ts, max(n) as worst_count, max(retry_after_s) as retry_after_s, max(maintenance_until) as maintenance_until,
    min(first_ts) as first_ts, max(last_ts) as last_ts, any_value(split_part(remedy, '. ', 1)) as remedy
from hours
group by seen_at, endpoint, model, status, code
order by turned_away_count desc, seen_at, endpoint nulls last, model nulls last, status nulls last, code
