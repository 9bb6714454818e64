create or replace view findings as
select
    e.* exclude (remedy),
    c.title,
    coalesce(e.remedy, c.remedy) as remedy,
    c.typical_status, c.see
from errors as e
left join causes as c on c.code = e.code;
comment on view findings is 'errors joined with title and remedy of their cause';
