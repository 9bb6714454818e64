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
--   {name = "format", type = "varchar", meaning = "Line format; unknown when none fits"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen in the period"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen in the period"},
--   {name = "share", below = true, type = "double", unit = "share", meaning = "event_count of all rows of this report; empty when these are fewer than min_count"},
--   {name = "first_version", below = true, type = "varchar", meaning = "Ollama version of the first"}, {name = "last_version", below = true, type = "varchar", meaning = "and of the last"},
--   {name = "hosts", below = true, type = "varchar[]", meaning = "Hosts, as the journal names them"},
--   {name = "example", below = true, type = "varchar", meaning = "The first of them with its error attribute, secrets masked, at most 200 characters"},
--   {name = "fingerprint", type = "varchar", meaning = "Hash of the template; a draft of a rule: erranalytics rules suggest --fingerprint"},
-- ]
-- ---
with seen as (
    select * from unknown_problems as e
    where coalesce(e.ts >= $since, $since is null) and coalesce(e.ts < $until, $until is null) and coalesce(e.host = $host, $host is null)
),
counted as (
    select
        s.template_id, count(*) as event_count, min(s.format) as format, min(s.ts) as first_ts, max(s.ts) as last_ts,
        max(case s.level when 'FATAL' then 5 when 'CRITICAL' then 5 when 'ERROR' then 4 when 'WARNING' then 3 when 'WARN' then 3 when 'INFO' then 2 when 'DEBUG' then 1 end) as worst,
        arg_min(r.version, s.event_id) as first_version, arg_max(r.version, s.event_id) as last_version,
        list_sort(list(distinct s.host) filter (where s.host is not null)) as hosts, min(s.event_id) as event_id
    from seen as s left join server_sessions as r on r.session_id = s.session_id
    group by s.template_id
),
shown as (select event_id, message || coalesce(' error=' || json_extract_string(attrs, '$.error'), '') as example from events where event_id in (select event_id from counted))
select
    c.event_count, t.template,
    case c.worst when 5 then 'FATAL' when 4 then 'ERROR' when 3 then 'WARN' when 2 then 'INFO' when 1 then 'DEBUG' end as level,
    c.format, c.first_ts, c.last_ts,
    case when sum(c.event_count) over () >= $min_count then cast(c.event_count as double) / sum(c.event_count) over () end as share,
    c.first_version, c.last_version, c.hosts,
    case when char_length(x.example) > 200 then substring(x.example from 1 for 199) || '…' else x.example end as example, t.fingerprint
from counted as c
inner join templates as t on t.template_id = c.template_id
inner join shown as x on x.event_id = c.event_id
order by c.event_count desc, t.fingerprint
