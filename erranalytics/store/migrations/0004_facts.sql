-- What a problem says in numbers and names as typed columns, what its text was wrapped in, a remedy with the numbers
-- put in.
alter table errors add column device varchar;
alter table errors add column needed_bytes bigint;
alter table errors add column free_bytes bigint;
alter table errors add column missing_bytes bigint;
alter table errors add column buffer_bytes bigint;
alter table errors add column layers_offloaded bigint;
alter table errors add column layers_total bigint;
alter table errors add column num_ctx bigint;
alter table errors add column num_ctx_train bigint;
alter table errors add column prompt_tokens bigint;
alter table errors add column process_pid bigint;
alter table errors add column exit_code bigint;
alter table errors add column signal varchar;
alter table errors add column server_address varchar;
alter table errors add column server_port bigint;
alter table errors add column retry_after_s bigint;
alter table errors add column option varchar;
alter table errors add column restart_count bigint;
alter table errors add column wrapping varchar[];
alter table errors add column remedy varchar;
comment on column errors.model is
    'Model it is about, as the text or the call names it; the default registry is cut off';
comment on column errors.device is 'Device it happened on, as the log names it: CUDA0, ROCm0, a number';
comment on column errors.needed_bytes is 'What the whole request needs of the memory that is short, bytes';
comment on column errors.free_bytes is 'What was free of it, bytes';
comment on column errors.missing_bytes is 'What was missing: as the log says it, else needed less free; bytes';
comment on column errors.buffer_bytes is 'Size of the one allocation that was refused, bytes';
comment on column errors.layers_offloaded is 'Layers that went to a GPU';
comment on column errors.layers_total is 'Layers of the model';
comment on column errors.num_ctx is 'Context length that was set or asked for, tokens';
comment on column errors.num_ctx_train is 'Context length the model was trained with, tokens';
comment on column errors.prompt_tokens is 'Length of the prompt, tokens';
comment on column errors.process_pid is 'Process it is about';
comment on column errors.exit_code is 'Exit status of that process; Windows statuses as unsigned numbers';
comment on column errors.signal is 'Signal that ended the process, as the log names it: killed, aborted, KILL, SIGSEGV';
comment on column errors.server_address is 'Host that was called or listened on, without its port';
comment on column errors.server_port is 'Port that was called or listened on';
comment on column errors.retry_after_s is 'Pause before the next attempt that the answer asks for, seconds';
comment on column errors.option is 'Option or field of the request it is about';
comment on column errors.restart_count is 'How often the service manager has restarted the server by then';
comment on column errors.wrapping is
    'What stood around the innermost text, names of erranalytics/data/unwrap.toml; NULL when nothing did';
comment on column errors.remedy is
    'What to do, with the numbers of this problem put in; NULL when its rule has no such sentence, see causes';
comment on column errors.captures is
    'Everything the rule and the facts took from the text, JSON object of strings; the typed columns are made of it';

alter table rules add column since varchar;
alter table rules add column until varchar;
alter table rules add column remedy varchar;
comment on column rules.since is 'First version of Ollama that writes this text; NULL when it is not known';
comment on column rules.until is
    'Last version of Ollama that writes this text; NULL when it still does or it is not known';
comment on column rules.remedy is
    'What to do for this text, {facts} to be put in; NULL when the remedy of the cause stands';

create or replace view findings as
select e.* exclude (remedy), c.title, coalesce(e.remedy, c.remedy) as remedy, c.typical_status, c.see
from errors as e
left join causes as c on c.code = e.code;
comment on view findings is 'errors joined with title and remedy of their cause';
