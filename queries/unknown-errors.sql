-- ---
-- name     = "unknown-errors"
-- title    = "Problems no rule knows"
-- question = "Which lines look like problems and match no rule?"
-- common   = ["since", "until", "host", "min_count"]
-- coverage = ["rejects", "unknown", "undated"]
-- columns  = [
--   {name = "event_count", type = "bigint", meaning = "Records of this template in the period that no rule matches"},
--   {name = "template", type = "varchar", meaning = "Message with everything that varies masked"},
--   {name = "level", type = "varchar", meaning = "Worst level, as it was written; empty when the lines name none"},
--   {name = "format", type = "varchar", meaning = "Line format; unknown when none matches"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen in the period"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen in the period"},
--   {name = "share", below = true, type = "double", unit = "share", meaning = """event_count of all rows of this \
--      report; empty when these are fewer than min_count"""},
--   {name = "first_version", below = true, type = "varchar", meaning = "Ollama version of the first"},
--   {name = "last_version", below = true, type = "varchar", meaning = "and of the last"},
--   {name = "hosts", below = true, type = "varchar[]", meaning = "Hosts, as the journal names them"},
--   {name = "example", below = true, type = "varchar", meaning = """The first of them with its error attribute, \
--      secrets masked, at most 200 characters"""},
--   {name = "fingerprint", type = "varchar", meaning = """Hash of the template; a draft of a rule: erranalytics \
--      rules suggest --fingerprint"""},
-- ]
-- ---
select
    event_count, template, level, format, first_ts, last_ts, share, first_version, last_version, hosts, example,
    fingerprint
from report_unknown_errors($since, $until, $host, $min_count)
order by event_count desc, fingerprint
