-- ---
-- name     = "coverage"
-- title    = "What could not be seen"
-- question = "What is missing from the answers, and why?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "topic", type = "varchar", meaning = "Name of the blind spot"},
--   {name = "amount", type = "bigint", meaning = "How many"},
--   {name = "note", type = "varchar", meaning = "What that means"},
-- ]
-- ---
with seen as (
    select count(*) filter (where format = 'unknown') as unknown_count, count(*) as event_count,
        count(*) filter (where ts is null) as undated_count, count(*) filter (where ts_source = 'file') as file_count
    from events
    where coalesce(ts >= $since, true) and coalesce(ts < $until, true) and coalesce(host = $host, $host is null)
),
blind as (
    select 'unknown' as topic, unknown_count as amount, 1 as place, 'records of no known shape: ' as note, ' of ' || event_count as more
    from seen
    union all
    select 'undated', undated_count, 3, 'records without a time, in no period or trend: ', '' from seen
    union all
    select 'file_times', file_count, 3, 'records of logs that tell no time, which have that of their file: ', '' from seen
    union all
    select 'rejects', coalesce(sum(r.line_count), 0), 2, 'lines that could not be read: ', ''
    from rejects as r inner join sources as s on s.source_id = r.source_id
    where r.reason <> 'blank' and coalesce(s.host = $host, $host is null)
    union all
    select 'guesses', count(*), 4, 'errors known by their HTTP status alone: ', ''
    from errors
    where confidence = 'guess' and coalesce(ts >= $since, $since is null) and coalesce(ts < $until, $until is null)
      and coalesce(host = $host, $host is null)
    union all
    select 'not_observable', count(*), 5, 'streams logged as 200, which does not prove that they finished: ', ''
    from streams as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.stream_outcome = 'not_observable' and coalesce(r.ts_end >= $since, $since is null)
      and coalesce(r.ts_end < $until, $until is null) and coalesce(s.host = $host, $host is null)
    union all
    select 'crashes', count(*), 6, 'crashes of the server, which may hide requests in flight: ', ''
    from server_sessions
    where end_reason in ('crashed', 'oom_killed') and coalesce(ts_end >= $since, $since is null)
      and coalesce(ts_end < $until, $until is null) and coalesce(host = $host, $host is null)
    union all
    select 'sessions', count(*), 7, 'stretches of log without a start of the server (version and settings unknown): ', ''
    from server_sessions
    where ts_start is null and coalesce(ts_end >= $since, $since is null) and coalesce(host = $host, $host is null)
      and session_id in (select session_id from events where not regexp_matches(format, '^(?:client|curl|gateway|nginx)-|^(?:go-client|node-start|litellm-log|foreign|unknown)$'))
    union all
    select 'gaps', count(*), 8, 'stretches of the journal that were vacuumed before they were read: ',
        ' (' || string_agg(strftime(from_ts, '%Y-%m-%d %H:%M') || ' to ' || strftime(to_ts, '%Y-%m-%d %H:%M'), ', ' order by from_ts) || ' UTC)'
    from gaps
    where coalesce(to_ts >= $since, true) and coalesce(from_ts < $until, true) and coalesce(host = $host, $host is null)
)
select topic, cast(amount as bigint) as amount, note || amount || more as note
from blind
where amount > 0
order by place, topic
