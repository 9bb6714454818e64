-- Templates from all records, where runs were joined and their versions with them.
create or replace temp table template_news as
select e.template_id, count(*) as event_count, min(e.ts) as first_ts, max(e.ts) as last_ts, min(e.code) as code,
    arg_min(s.version, e.ts) as first_version, arg_max(s.version, e.ts) as last_version
from events as e
left join server_sessions as s using (session_id)
where e.template_id is not null
group by e.template_id;

update templates
set event_count = n.event_count, first_ts = n.first_ts, last_ts = n.last_ts, code = n.code,
    first_version = n.first_version, last_version = n.last_version
from template_news as n
where templates.template_id = n.template_id;
