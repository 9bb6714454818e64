-- ---
-- name     = "sessions"
-- title    = "Runs of the server, newest first"
-- question = "Which servers ran when, in which version and with which settings, and how did each run end?"
-- common   = ["since", "until", "host", "code"]
-- coverage = ["undated", "crashes", "sessions", "gaps"]
-- columns  = [
--   {name = "ts_start", type = "timestamptz", meaning = "Start; empty when it is not in the log"},
--   {name = "ts_end", below = true, type = "timestamptz", meaning = "Its last record"},
--   {name = "duration_us", type = "bigint", unit = "us", meaning = "From the start to the last record"},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "version", type = "varchar", meaning = "Version of Ollama"},
--   {name = "end_reason", type = "varchar", meaning = "stopped, crashed, oom_killed, restarted (another run follows), running, unknown"},
--   {name = "devices", below = true, type = "varchar[]", meaning = "Devices it found"},
--   {name = "request_count", type = "bigint", meaning = "Requests of inference"},
--   {name = "failed_count", type = "bigint", meaning = "Those that failed; a 200 proves nothing and is not among them"},
--   {name = "cancelled_count", below = true, type = "bigint", meaning = "Those whose client went away"},
--   {name = "incident_count", type = "bigint", meaning = "Failures, warnings and worse"},
--   {name = "top_code", below = true, type = "varchar", meaning = "The most frequent of their codes, its cause, and how often"},
--   {name = "load_count", below = true, type = "bigint", meaning = "Attempts to load a model"},
--   {name = "failed_load_count", below = true, type = "bigint", meaning = "Those that failed"},
--   {name = "settings", below = true, type = "varchar[]", meaning = "Settings that are not the default of the version"},
--   {name = "undated_count", below = true, type = "bigint", meaning = "Records without a time"},
--   {name = "note", below = true, type = "varchar", meaning = "What is not known of the run"},
--   {name = "session_id", below = true, type = "integer", meaning = "Number of the run"},
-- ]
-- ---
with chosen as (
    select * from runs
    where coalesce(ts_end >= $since, $since is null) and coalesce(coalesce(ts_start, ts_end) < $until, $until is null) and coalesce(host = $host, $host is null)
      and ($code is null or session_id in (select session_id from incidents where code = $code))
),
asked as (
    select session_id, count(*) as n, count(*) filter (where outcome in ('failed', 'failed_before_first_byte', 'failed_mid_stream')) as bad, count(*) filter (where outcome = 'cancelled_by_client') as gone
    from requests where is_inference and surface = 'ollama' group by session_id
),
codes as (select session_id, code, any_value(cause) as cause, count(*) as n from incidents where severity <> 'info' group by session_id, code),
happened as (select session_id, sum(n) as n, arg_max(code || ' ' || cause || ' ×' || n, row(n, code)) as top_code from codes group by session_id),
loaded as (select session_id, count(*) as n, count(*) filter (where outcome in ('failed', 'oom')) as bad from model_loads group by session_id),
changed as (select session_id, list(name || '=' || value order by name) as list from settings where not is_default group by session_id),
undated as (select session_id, count(*) as n from events where ts is null group by session_id)
select s.ts_start, s.ts_end, cast(epoch_us(s.ts_end) - epoch_us(s.ts_start) as bigint) as duration_us, s.host, s.version, s.end_reason, s.devices, coalesce(a.n, 0) as request_count, coalesce(a.bad, 0) as failed_count, coalesce(a.gone, 0) as cancelled_count,
    cast(coalesce(h.n, 0) as bigint) as incident_count, h.top_code, coalesce(l.n, 0) as load_count, coalesce(l.bad, 0) as failed_load_count,
    case when cardinality(s.config) > 0 then coalesce(c.list, cast([] as varchar[])) end as settings, coalesce(u.n, 0) as undated_count,
    nullif(concat_ws('; ', case when s.ts_start is null then 'start not in the log' end, case when s.version is null then 'version not told' end, case when coalesce(cardinality(s.config), 0) = 0 then 'settings not told' end,
        case when s.end_reason = 'unknown' then 'end not told: the last record may be the end of the log' end), '') as note, s.session_id
from chosen as s
left join asked as a on a.session_id = s.session_id left join happened as h on h.session_id = s.session_id left join loaded as l on l.session_id = s.session_id
left join changed as c on c.session_id = s.session_id left join undated as u on u.session_id = s.session_id
order by coalesce(s.ts_start, s.ts_end) desc nulls last, s.session_id desc
