-- ---
-- name     = "new-errors"
-- title    = "New errors"
-- question = "What fails that did not fail before that day, or before that version?"
-- common   = ["since", "until", "host"]
-- coverage = ["undated", "sessions", "gaps"]
-- columns  = [
--   {name = "kind", type = "varchar", meaning = "code, or template: lines that look like a problem and that no rule knows"},
--   {name = "name", type = "varchar", meaning = "Code, or fingerprint of the template"},
--   {name = "after_count", type = "bigint", meaning = "Failures in which the code was seen since then, as root or echo; lines of a template"},
--   {name = "before_count", type = "bigint", meaning = "The same before then; 0 for what is new"},
--   {name = "untold_count", below = true, type = "bigint", meaning = "Seen without the time or version that would tell on which side"},
--   {name = "first_ts", type = "timestamptz", meaning = "First seen since then"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last seen"},
--   {name = "first_version", type = "varchar", meaning = "Lowest version of Ollama it was seen with since then"},
--   {name = "severity", below = true, type = "varchar", meaning = "Worst severity of the code since then"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened, or the template"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
--   {name = "note", below = true, type = "varchar", meaning = "Since when, and whether the log reaches back far enough to say so"},
-- ]
-- [param.since_version]
-- type = "varchar"
-- help = "New with this version of Ollama or a later one, such as 0.32.0; together with --since, both"
-- [param.show]
-- type = "varchar"
-- choices = ["new", "all"]
-- default = "new"
-- help = "all: also what was seen before"
-- ---
with cut as (  -- without a date or version: the last seven days of the log
    select case when $since_version is null then coalesce($since, max(last_ts) - interval '7' day) else $since end as since, case when version_key($since_version) is null and $since_version is not null then error('since_version is no version of Ollama, such as 0.32.0') else version_key($since_version) end as key, min(first_ts) as begun,
        exists (select 1 from server_sessions where version_key(version) < version_key($since_version)) as is_preceded
    from sources where coalesce(host = $host, true)
),
runs_of as (select session_id, version, version_key(version) as key from server_sessions),
seen as (
    select 'code' as kind, e.code as name, e.incident_id as number, e.ts, e.session_id, e.host, case e.severity when 'critical' then 4 when 'error' then 3 when 'warning' then 2 else 1 end as worst from errors as e
    union all
    select 'template', cast(e.template_id as varchar), e.event_id, e.ts, e.session_id, e.host, cast(null as integer) from unknown_problems as e
),
placed as (  -- NULL where the time or the version does not tell
    select n.*, s.version, s.key, (k.since is null or n.ts >= k.since) and ($since_version is null or s.key >= k.key) as is_after
    from seen as n cross join cut as k left join runs_of as s on s.session_id = n.session_id
    where coalesce(n.ts < $until, $until is null) and coalesce(n.host = $host, $host is null)
),
counted as (
    select kind, name, count(distinct number) filter (where is_after) as afters, count(distinct number) filter (where not is_after) as befores, count(distinct number) filter (where is_after is null) as untold,
        min(ts) filter (where is_after) as first_ts, max(ts) as last_ts, arg_min(version, key) filter (where is_after and key is not null) as first_version, max(worst) filter (where is_after) as worst
    from placed group by kind, name
)
select t.kind, coalesce(p.fingerprint, t.name) as name, t.afters as after_count, t.befores as before_count, t.untold as untold_count, t.first_ts, t.last_ts, t.first_version,
    case t.worst when 4 then 'critical' when 3 then 'error' when 2 then 'warning' when 1 then 'info' end as severity, coalesce(c.title, p.template) as title, split_part(c.remedy, '. ', 1) as remedy,
    case when k.begun >= k.since or not (k.is_preceded or $since_version is null) then 'the log begins only then: nothing to compare with' when t.untold > 0 then 'may be older: some sightings tell no time or version'
        when $since is null and $since_version is null then 'since ' || strftime(k.since at time zone $tz, '%Y-%m-%d %H:%M') || ', seven days before the end of the log' end as note
from counted as t cross join cut as k
left join causes as c on t.kind = 'code' and c.code = t.name left join templates as p on t.kind = 'template' and cast(p.template_id as varchar) = t.name
where t.afters > 0 and (t.befores = 0 or $show = 'all')
order by t.kind, t.befores = 0 desc, t.afters desc, t.first_ts, name
