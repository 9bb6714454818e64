-- The name that clients use for a model file, where some run logs it and all runs agree.
create or replace view names_of_files as
select blob, min(model) as model
from model_loads
where blob is not null and model is not null
group by blob
having count(distinct model) = 1;
comment on view names_of_files is 'Model files whose name is in the log, one row for all runs';
comment on column names_of_files.blob is 'First digits of the digest of the file';
comment on column names_of_files.model is 'The one name that clients use for it';
