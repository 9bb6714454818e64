-- Templates: how often, since when, from which version.
create or replace temp table template_news as
select e.template_id, count(*) as event_count, min(e.ts) as first_ts, max(e.ts) as last_ts, mode(e.code) as code,
    arg_min(s.version, e.event_id) as first_version, arg_max(s.version, e.event_id) as last_version
from events as e
left join server_sessions as s using (session_id)
where e.load_id = (select max(load_id) from events) and e.template_id is not null
group by e.template_id;

update templates
set event_count = templates.event_count + n.event_count,
    first_ts = least(templates.first_ts, n.first_ts),
    last_ts = greatest(templates.last_ts, n.last_ts),
    code = coalesce(n.code, templates.code),
    first_version = coalesce(templates.first_version, n.first_version),
    last_version = coalesce(n.last_version, templates.last_version)
from template_news as n
where templates.template_id = n.template_id;
