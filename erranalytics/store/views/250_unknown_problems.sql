-- Records that look like a problem and match no rule.
create or replace view unknown_problems as
-- words of trouble outside names such as error.log, and phrases that have such a word although nothing went wrong
with problem_templates as (
    select
        template_id,
        regexp_matches(
            text,
            '(^|[\s"''`(\[{<:;,=|])(fail(ed|ure)? (to|with|on|in|at|while|because|loading)\b|failed:|error:|error '
            '(while|when|during|in|on|from|loading|reading|writing|opening)\b|fatal( error)?:|panic:|(can ?not'
            '|can''t|could not|couldn''t) (be|find|open|read|write|load|connect|create|allocate|parse|decode|get|set'
            '|start|bind)\b|unable to|timed out|out of memory|permission denied|access denied|connection (refused'
            '|reset)|segmentation fault|segfault|core dumped|traceback \(|no space left)'
        ) as is_clear
    from (
        select
            template_id,
            regexp_replace(
                lower(template),
                '\b(no|without( any)?|ignor(e|ing)|if|on|zero) (errors?|failures?|exceptions?)\b|\b(above|following'
                '|another) exception\b|\berrors? (rate|log)s?\b',
                '', 'g'
            ) as text
        from templates
    ) as t
    where regexp_matches(
        text,
        '(^|[\s"''`(\[{<:;,=|!])(errors?|fail(s|ed|ure|ures|ing)?|fatal|panic(ked)?|exceptions?|can ?not|can''t'
        '|could not|couldn''t|unable|invalid|refused|denied|timed out|timeout|killed|abort(s|ed|ing)?|crash(ed|es)?'
        '|corrupt(ed|ion)?|out of memory|no space left|seg(mentation )?fault|core dumped|traceback|not permitted'
        '|insufficient|unauthorized|forbidden)($|[\s"''`)\]}>:;,=|!?]|\.($|\s))'
    )
)
-- The words decide where there is no level or an application chose it; below a warning, only clear phrases do.
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e
inner join problem_templates as w on w.template_id = e.template_id
where e.code is null
  and e.format not in ('foreign', 'powershell-note')
  and (e.format <> 'nginx-error' or e.component is not null)
  and (
      w.is_clear or coalesce(e.level, 'ERROR') in ('WARN', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL')
  )
union all
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e
where e.level in ('WARN', 'WARNING', 'ERROR', 'FATAL')
  and e.code is null
  and e.template_id is not null
  and e.template_id not in (select template_id from problem_templates)
  and e.format not in ('foreign', 'powershell-note', 'client-text', 'client-note')
  and (e.format <> 'nginx-error' or e.component is not null);
comment on view unknown_problems is
    'One row per record that looks like a problem by its level or its words and matches no rule';
