-- ---
-- name     = "page"
-- title    = "What this page is about"
-- question = "Which store, which period, and how much data?"
-- part     = true
-- parts    = [
--   "overview", "overview-failing", "overview-rates", "overview-trend", "coverage", "page-errors",
--   "page-streams", "page-latency", "page-sessions", "error-frequency", "incidents", "oom-incidents",
--   "streaming-failures", "errors-by-model", "errors-by-version", "slow-requests", "crashes-and-restarts",
--   "status-codes", "overload", "cancelled", "gateway-errors", "context-truncation", "model-loads",
--   "unknown-errors"
-- ]
-- common   = ["since", "until", "host", "tz", "min_count"]
-- columns  = [
--   {name = "store", type = "varchar", meaning = "Name of its file, without the folder; empty in memory"},
--   {name = "hosts", type = "varchar[]", meaning = "Hosts in it"},
--   {name = "first_ts", type = "timestamptz", meaning = "Beginning of the period, or of the log within it"},
--   {name = "last_ts", type = "timestamptz", meaning = "End of the period, or of the log inside it"},
--   {name = "source_count", type = "bigint", meaning = "Inputs"},
--   {name = "event_count", type = "bigint", meaning = "Records read from them, in and outside of the period"},
-- ]
-- [param.width]
-- type = "varchar"
-- choices = ["minute", "hour", "day", "week", "month", "year"]
-- help = "Width of a step in the charts; by default as wide as the period needs"
-- ---
with logs as (select * from logs_of($since, $until, $host)),
records as (
    select cast(coalesce(sum(l.event_count), 0) as bigint) as event_count
    from loads as l
    inner join sources as s on s.source_id = l.source_id
    where matches(s.host, $host)
),
files as (
    select max(regexp_extract(path, '[^/\\]+$')) as store
    from duckdb_databases()
    where database_name = current_database()
)
select
    f.store, l.hosts,
    greatest(l.first_ts, $since) as first_ts,
    least(l.last_ts, $until) as last_ts,
    l.source_count, r.event_count
from logs as l
cross join records as r
cross join files as f
order by f.store
