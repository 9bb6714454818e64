-- Templates: how often, since when, from which version.
--
-- reads: events, server_sessions
-- makes: new_templates, one row per template of the new records
-- writes: templates

create or replace temp table new_templates as
select e.template_id, count(*) as event_count, min(e.ts) as first_ts, max(e.ts) as last_ts, min(e.code) as code,
    arg_min(s.version, e.ts) as first_version, arg_max(s.version, e.ts) as last_version
from events as e
left join server_sessions as s using (session_id)
where e.load_id between getvariable('first_load_id') and getvariable('last_load_id') and e.template_id is not null
group by e.template_id;

update templates
set event_count = templates.event_count + n.event_count,
    first_ts = least(templates.first_ts, n.first_ts),
    last_ts = greatest(templates.last_ts, n.last_ts),
    code = coalesce(least(n.code, templates.code), n.code, templates.code),
    first_version = case when templates.first_ts <= n.first_ts then coalesce(templates.first_version, n.first_version)
        else coalesce(n.first_version, templates.first_version) end,
    last_version = case when templates.last_ts > n.last_ts then coalesce(templates.last_version, n.last_version)
        else coalesce(n.last_version, templates.last_version) end
from new_templates as n
where templates.template_id = n.template_id;

-- A template whose last record was removed.
delete from templates where event_count = 0;
