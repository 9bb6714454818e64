-- ---
-- name     = "oom-changes"
-- title    = "What would have fitted"
-- question = "Which single changes would have made a memory failure fit, and how is that computed?"
-- common   = ["since", "until", "host", "model", "code"]
-- part     = true
-- columns  = [
--   {name = "incident_id", type = "bigint", meaning = "Number of the incident"},
--   {name = "code", below = true, type = "varchar", meaning = "Code of the root cause"},
--   {name = "model", below = true, type = "varchar", meaning = "Model, or else the digest of its file"},
--   {name = "missing_bytes", type = "bigint", unit = "bytes", meaning = "What was missing"},
--   {name = "change", type = "varchar", meaning = "The change; those that cost the answers least come first"},
--   {name = "saved_bytes", type = "bigint", unit = "bytes", meaning = "What it saves"},
--   {name = "formula", below = true, type = "varchar", meaning = "How that is computed, with the numbers of the log"},
-- ]
-- ---
select m.incident_id, m.code, m.model, m.missing_bytes, c.change, c.saved_bytes, c.formula
from memory_changes as c
inner join memory_failures as m on m.incident_id = c.incident_id
where in_period(m.first_ts, $since, $until)
  and matches(m.host, $host)
  and one_matches(m.models, $model)
  and matches(m.code, $code)
order by m.first_ts desc nulls last, m.incident_id desc, c.rank
