-- ---
-- name     = "status-codes"
-- title    = "HTTP statuses by endpoint"
-- question = "Which statuses did the server send, and where?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "kind", type = "varchar", meaning = "inference, other, or poll (heartbeats, kept apart)"},
--   {name = "endpoint", type = "varchar", meaning = "Route"},
--   {name = "status", type = "smallint", meaning = """HTTP status; 200 does not prove success, a stream may break \
--      after it"""},
--   {name = "request_count", type = "bigint", meaning = "Requests with this status: the numerator"},
--   {name = "endpoint_request_count", type = "bigint", meaning = "All requests of the endpoint: the denominator"},
--   {name = "share", type = "double", unit = "share", meaning = """request_count of endpoint_request_count; empty \
--      below --min-count"""},
-- ]
-- ---
with counts as (
    select
        case when r.is_poll then 'poll' when r.is_inference then 'inference' else 'other' end as kind,
        r.endpoint, r.status,
        count(*) filter (where matches(r.code, $code)) as request_count,
        count(*) as all_count
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.surface = 'ollama'
      and in_period(r.ts_end, $since, $until)
      and matches(s.host, $host)
      and matches(r.model, $model)
      and matches(r.endpoint, $endpoint)
    group by 1, 2, 3
),
shares as (
    select *, cast(sum(all_count) over (partition by kind, endpoint) as bigint) as endpoint_request_count
    from counts
)
select
    kind, endpoint, status, request_count, endpoint_request_count,
    case
        when endpoint_request_count >= $min_count then cast(request_count as double) / endpoint_request_count
    end as share
from shares
where request_count > 0
order by kind = 'poll', kind, endpoint, status
