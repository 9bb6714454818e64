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
--   {name = "end_reason", type = "varchar", meaning = """stopped, crashed, oom_killed, restarted (another run \
--      follows), running, unknown"""},
--   {name = "devices", below = true, type = "varchar[]", meaning = "Devices it found"},
--   {name = "request_count", type = "bigint", meaning = "Requests of inference"},
--   {name = "failed_count", type = "bigint", meaning = """Those that failed; a 200 proves nothing and is not among \
--      them"""},
--   {name = "cancelled_count", below = true, type = "bigint", meaning = "Those whose client left"},
--   {name = "incident_count", type = "bigint", meaning = "Failures, warnings and worse"},
--   {name = "top_code", below = true, type = "varchar", meaning = """The most frequent of their codes, its cause, \
--      and how often"""},
--   {name = "load_count", below = true, type = "bigint", meaning = "Attempts to load a model"},
--   {name = "failed_load_count", below = true, type = "bigint", meaning = "Those that failed"},
--   {name = "settings", below = true, type = "varchar[]", meaning = """Settings that are not the default of the \
--      version"""},
--   {name = "undated_count", below = true, type = "bigint", meaning = "Records without a time"},
--   {name = "note", below = true, type = "varchar", meaning = "What is not known of the run"},
--   {name = "session_id", below = true, type = "integer", meaning = "Number of the run"},
-- ]
-- ---
select
    ts_start, ts_end, duration_us, host, version, end_reason, devices, request_count, failed_count, cancelled_count,
    incident_count, top_code, load_count, failed_load_count, settings, undated_count, note, session_id
from report_sessions($since, $until, $host, $code)
order by coalesce(ts_start, ts_end) desc nulls last, session_id desc
