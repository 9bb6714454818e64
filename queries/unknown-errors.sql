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
with worded as (  -- words of trouble that are no part of a name such as error.log, and what they are when nothing went wrong
    select template_id, regexp_matches(text, '(^|[\s"''`(\[{<:;,=|])(fail(ed|ure)? (to|with|on|in|at|while|because|loading)\b|failed:|error:|error (while|when|during|in|on|from|loading|reading|writing|opening)\b|fatal( error)?:|panic:|(can ?not|can''t|could not|couldn''t) (be|find|open|read|write|load|connect|create|allocate|parse|decode|get|set|start|bind)\b|unable to|timed out|out of memory|permission denied|access denied|connection (refused|reset)|segmentation fault|segfault|core dumped|traceback \(|no space left)') as is_clear
    from (select template_id, regexp_replace(lower(template), '\b(no|without( any)?|ignor(e|ing)|if|on|zero) (errors?|failures?|exceptions?)\b|\b(above|following|another) exception\b|\berrors? (rate|log)s?\b', '', 'g') as text from templates) as t
    where regexp_matches(text, '(^|[\s"''`(\[{<:;,=|!])(errors?|fail(s|ed|ure|ures|ing)?|fatal|panic(ked)?|exceptions?|can ?not|can''t|could not|couldn''t|unable|invalid|refused|denied|timed out|timeout|killed|abort(s|ed|ing)?|crash(ed|es)?|corrupt(ed|ion)?|out of memory|no space left|seg(mentation )?fault|core dumped|traceback|not permitted|insufficient|unauthorized|forbidden)($|[\s"''`)\]}>:;,=|!?]|\.($|\s))')
),
seen as (  -- the words decide where no level is written, and with a level that an application chose; below a warning only clear phrases do
    select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
    from events as e
    left join worded as w on w.template_id = e.template_id
    where e.code is null and e.template_id is not null and e.format not in ('foreign', 'powershell-note') and (e.format <> 'nginx-error' or e.component is not null)
      and (w.is_clear
        or (w.template_id is not null and coalesce(e.level, 'ERROR') in ('WARN', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL'))
        or (e.level in ('WARN', 'WARNING', 'ERROR', 'FATAL') and e.format not in ('client-text', 'client-note')))
      and coalesce(e.ts >= $since, $since is null) and coalesce(e.ts < $until, $until is null) and coalesce(e.host = $host, $host is null)
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
