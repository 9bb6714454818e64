-- Templates from all records, where sessions were joined and their versions with them.
--
-- reads: events, server_sessions
-- makes: new_templates, one row per template of the new records
-- writes: templates

create or replace temp table new_templates as
select e.template_id, count(*) as event_count, min(e.ts) as first_ts, max(e.ts) as last_ts, min(e.code) as code,
    arg_min(s.version, e.ts) as first_version, arg_max(s.version, e.ts) as last_version
from events as e
left join server_sessions as s using (session_id)
where e.template_id is not null
group by e.template_id;

update templates
set event_count = n.event_count, first_ts = n.first_ts, last_ts = n.last_ts, code = n.code,
    first_version = n.first_version, last_version = n.last_version
from new_templates as n
where templates.template_id = n.template_id;
