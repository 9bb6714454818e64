-- ---
-- name     = "crashes-and-restarts"
-- title    = "Crashes and restarts, newest first"
-- question = """When did a runner or the server die or restart, why, what failed with it, and how long until it was \
--      back?"""
-- common   = ["since", "until", "host", "model", "code"]
-- coverage = ["undated", "crashes", "sessions", "gaps"]
-- columns  = [
--   {name = "ts", type = "timestamptz", meaning = """When it was first logged; the last record of a run that ends \
--      without a line about it"""},
--   {name = "kind", type = "varchar", meaning = """runner died, runner killed by the OS, server crashed, server \
--      killed by the OS, restart loop, server restarted (the log does not say why), server stopped (on request)"""},
--   {name = "code", type = "varchar", meaning = "Code of the cause, if the log states one"},
--   {name = "cause", below = true, type = "varchar", meaning = "That cause in a sentence"},
--   {name = "ended_by", below = true, type = "varchar", meaning = "Signal or exit status of the process"},
--   {name = "model", type = "varchar", meaning = "Model the runner had"},
--   {name = "lost_count", type = "bigint", meaning = """Requests that failed with it and have an access line or \
--      were recorded by a client; empty for a server, whose lost requests leave no line"""},
--   {name = "suspected_count", below = true, type = "bigint", meaning = """Streams logged as 200 that the death of a \
--      runner may have broken"""},
--   {name = "seen_by", below = true, type = "varchar", meaning = "server, client or both: whose log shows it"},
--   {name = "restart_count", below = true, type = "bigint", meaning = """How often the server was started again in \
--      it; empty for a runner"""},
--   {name = "lasted_us", below = true, type = "bigint", unit = "us", meaning = """From its first to its last record: \
--      of a loop, how long it went on; empty when there is one only"""},
--   {name = "back_us", type = "bigint", unit = "us", meaning = """Until the same model was loaded again, or the \
--      server was started again; a model comes back when a request asks for it; empty when the log does not show \
--      it"""},
--   {name = "host", below = true, type = "varchar", meaning = "Host"},
--   {name = "version", below = true, type = "varchar", meaning = "Version of Ollama"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
--   {name = "incident_id", below = true, type = "bigint", meaning = """Number of the incident; empty when no \
--      record reports a fault"""},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server"},
--   {name = "event_id", below = true, type = "bigint", meaning = "The record that shows it"},
-- ]
-- [param.kind]
-- type = "varchar"
-- choices = ["runner", "server"]
-- help = "Only those of runners, or of the server"
-- ---
select
    ts, kind, code, cause, ended_by, model, lost_count, suspected_count, seen_by, restart_count, lasted_us, back_us,
    host, version, remedy, incident_id, session_id, event_id
from report_crashes_and_restarts($since, $until, $host, $model, $code, $kind)
order by ts desc nulls last, event_id desc
