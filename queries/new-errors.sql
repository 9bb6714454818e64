-- ---
-- name     = "new-errors"
-- title    = "New errors"
-- question = "What fails that did not fail before that day, or before that version?"
-- common   = ["since", "until", "host"]
-- coverage = ["undated", "sessions", "gaps"]
-- columns  = [
--   {name = "kind", type = "varchar", meaning = """code, or template: lines that look like a problem and that no \
--      rule matches"""},
--   {name = "name", type = "varchar", meaning = "Code, or fingerprint of the template"},
--   {name = "after_count", type = "bigint", meaning = """Failures in which the code was seen since then, as root or \
--      echo; lines of a template"""},
--   {name = "before_count", type = "bigint", meaning = "The same before then; 0 for what is new"},
--   {name = "untold_count", below = true, type = "bigint", meaning = """Seen without a time or version that says \
--      on which side"""},
--   {name = "first_ts", type = "timestamptz", meaning = "First seen since then"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last seen"},
--   {name = "first_version", type = "varchar", meaning = "Lowest version of Ollama it was seen with since then"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity of the code since then"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened, or the template"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
--   {name = "note", below = true, type = "varchar", meaning = """Since when, and whether the log reaches back far \
--      enough to say so"""},
-- ]
-- [param.since_version]
-- type = "varchar"
-- help = "New with this version of Ollama or a later one, such as 0.32.0; with --since, both must hold"
-- [param.show]
-- type = "varchar"
-- choices = ["new", "all"]
-- default = "new"
-- help = "all also shows what was seen before"
-- ---
select
    kind, name, after_count, before_count, untold_count, first_ts, last_ts, first_version, severity, title, remedy,
    note
from report_new_errors($since, $until, $host, $tz, $since_version, $show)
order by kind, before_count = 0 desc, after_count desc, first_ts, name
