-- ---
-- name     = "page-sessions"
-- title    = "Runs of the server"
-- question = "When did the server run, and how did each run end?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "session_id", type = "integer", meaning = "Number of the run"},
--   {name = "host", type = "varchar", meaning = "Host, where the log names it"},
--   {name = "version", type = "varchar", meaning = "Version of Ollama"},
--   {name = "first_ts", type = "timestamptz", meaning = "Its start, or else its first record"},
--   {name = "last_ts", type = "timestamptz", meaning = "Its last record"},
--   {name = "end_reason", type = "varchar", meaning = "stopped, crashed, oom_killed, restarted, running or unknown"},
--   {name = "is_start_seen", type = "boolean", meaning = "The log holds its start"},
--   {name = "session_count", type = "bigint", meaning = "How many runs there are, shown here or not"},
-- ]
-- [param.limit]
-- type = "integer"
-- default = 300
-- help = "How many runs are shown, the newest first"
-- ---
with runs as (
    -- What stands before the first start of a log is a run of the server only when a server answered or died in it.
    select s.*, coalesce(s.ts_start, e.ts, s.ts_end) as first_ts
    from server_sessions as s
    left join events as e on e.event_id = s.first_event_id
    where s.ts_start is not null
      or s.end_reason <> 'unknown'
      or s.session_id in (select r.session_id from requests as r where r.surface = 'ollama')
)
select
    session_id, host, version, first_ts,
    coalesce(ts_end, first_ts) as last_ts,
    end_reason,
    ts_start is not null as is_start_seen,
    count(*) over () as session_count
from runs
where first_ts is not null
  and coalesce(ts_end >= $since, $since is null)
  and coalesce(first_ts < $until, $until is null)
  and matches(host, $host)
order by first_ts desc, session_id desc
limit $limit
