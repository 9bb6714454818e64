-- ---
-- name     = "incidents"
-- title    = "Incidents, newest first"
-- question = "What happened, one row per failure?"
-- common   = ["since", "until", "host", "model", "endpoint", "code"]
-- coverage = ["unknown", "rejects", "undated", "crashes"]
-- columns  = [
--   {name = "first_ts", type = "timestamptz", meaning = "When it began"},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = "From its first to its last record"},
--   {name = "code", type = "varchar", meaning = "Code of the root cause"},
--   {name = "severity", type = "varchar", meaning = """Worst severity among its records; info when the server \
--      recovered by itself"""},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
--   {name = "models", below = true, type = "varchar[]", meaning = "Models its records name"},
--   {name = "request_count", type = "bigint", meaning = "Requests that it hit"},
--   {name = "error_count", below = true, type = "bigint", meaning = "Records that echo it"},
--   {name = "call_count", below = true, type = "bigint", meaning = "Client calls that it hit"},
--   {name = "restart_count", below = true, type = "bigint", meaning = "How often the server was started again in it"},
--   {name = "is_recovered", below = true, type = "boolean", meaning = """The server tried again by itself and was \
--      ready: then it is a notice"""},
--   {name = "message", below = true, type = "varchar", meaning = "Root message, at most 200 characters"},
--   {name = "incident_id", type = "bigint", meaning = "Number of the incident"},
-- ]
-- ---
with roots as (
    select event_id, min(message) as message
    from errors
    group by event_id
)
select
    i.first_ts,
    cast(extract(epoch from i.last_ts - i.first_ts) * 1000000 as bigint) as duration_us,
    i.code, i.severity, c.title, i.models, i.request_count, i.error_count, i.call_count, i.restart_count,
    i.recovered_event_id is not null as is_recovered,
    shortened(e.message) as message,
    i.incident_id
from incidents as i
left join roots as e on e.event_id = i.root_event_id
left join causes as c on c.code = i.code
left join server_sessions as s on s.session_id = i.session_id
where in_period(i.first_ts, $since, $until)
  and matches(s.host, $host)
  and one_matches(i.models, $model)
  and matches(i.code, $code)
  and (
      $endpoint is null
      or i.incident_id in (select r.incident_id from requests as r where r.endpoint = $endpoint)
  )
order by i.first_ts desc nulls last, i.incident_id desc
