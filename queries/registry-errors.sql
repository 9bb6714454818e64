-- ---
-- name     = "registry-errors"
-- title    = "Pulls and pushes that failed"
-- question = "Which models could not be pulled or pushed, from where, and did it work later?"
-- common   = ["since", "until", "host", "model", "code"]
-- coverage = ["undated", "gaps"]
-- columns  = [
--   {name = "code", type = "varchar", meaning = "Code of the root cause"},
--   {name = "action", below = true, type = "varchar", meaning = "pull, push or another route that asked for it"},
--   {name = "registry", below = true, type = "varchar", meaning = """Host that the text or the name of the model \
--      gives; unknown if neither does"""},
--   {name = "model", type = "varchar", meaning = """Model that was asked for, as the call or the URL names it; \
--      unknown if neither does"""},
--   {name = "incident_count", type = "bigint", meaning = "Failures with that root"},
--   {name = "error_count", below = true, type = "bigint", meaning = "Lines that say so, echoes included"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First of them"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last of them"},
--   {name = "recovered", type = "varchar", meaning = """retried: Ollama tried again by itself; pulled: a call proves \
--      a pull of the model after the last failure; loaded, answered: so did the model; empty: not seen"""},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
--   {name = "message", below = true, type = "varchar", meaning = """Last text, digests and parameters of URLs \
--      shortened, at most 200 characters"""},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do"},
-- ]
-- ---
select
    code, action, registry, model, incident_count, error_count, first_ts, last_ts, recovered, severity, title,
    message, remedy
from report_registry_errors($since, $until, $host, $model, $code)
order by incident_count desc, code, action, registry, model
