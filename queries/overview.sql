-- ---
-- name     = "overview"
-- title    = "Overview"
-- question = "What fails, how often, is it getting worse, and what should be done first?"
-- parts    = ["overview-failing", "overview-rates", "overview-trend", "coverage"]
-- common   = ["since", "until", "host", "tz", "min_count"]
-- columns  = [
--   {name = "hosts", type = "varchar[]", meaning = "Hosts in the store"},
--   {name = "versions", type = "varchar[]", meaning = "Versions of Ollama, in order of their first start"},
--   {name = "first_ts", type = "timestamptz", meaning = "Beginning of the period, or of the log within it"},
--   {name = "last_ts", type = "timestamptz", meaning = "End of the period, or of the log inside it"},
--   {name = "source_count", type = "bigint", meaning = "Inputs"},
--   {name = "request_count", type = "bigint", meaning = "Inference requests"},
--   {name = "incident_count", type = "bigint", meaning = "Failures of severity error or critical"},
--   {name = "warning_count", type = "bigint", meaning = "Incidents of severity warning"},
--   {name = "critical_count", type = "bigint", meaning = "Failures of severity critical"},
-- ]
-- ---
with logs as (select * from logs_of($since, $until, $host)),
runs as (
    select array_agg(version order by first_start, version) as versions
    from (
        select version, min(ts_start) as first_start
        from server_sessions
        where version is not null
          and matches(host, $host)
          and coalesce(ts_end >= $since, true)
          and coalesce(ts_start < $until, true)
        group by version
    ) as v
),
failures as (
    select
        count(*) filter (where i.severity in ('error', 'critical')) as incident_count,
        count(*) filter (where i.severity = 'warning') as warning_count,
        count(*) filter (where i.severity = 'critical') as critical_count
    from incidents as i
    left join server_sessions as s on s.session_id = i.session_id
    where in_period(i.first_ts, $since, $until) and matches(s.host, $host)
),
request_counts as (
    select count(*) as request_count
    from requests as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.is_inference
      and r.surface = 'ollama'
      and in_period(r.ts_end, $since, $until)
      and matches(s.host, $host)
)
select
    l.hosts, v.versions,
    greatest(l.first_ts, $since) as first_ts,
    least(l.last_ts, $until) as last_ts,
    l.source_count, a.request_count, f.incident_count, f.warning_count, f.critical_count
from logs as l
cross join runs as v
cross join failures as f
cross join request_counts as a
order by first_ts
