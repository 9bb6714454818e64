-- The name a model file is asked for by, where some run tells it and all agree.
create or replace view names_of_files as
select blob, min(model) as model
from model_loads
where blob is not null and model is not null
group by blob
having count(distinct model) = 1;
comment on view names_of_files is 'Model files whose name the log tells, once for all runs';
comment on column names_of_files.blob is 'First digits of the digest of the file';
comment on column names_of_files.model is 'The one name it is asked for by';
