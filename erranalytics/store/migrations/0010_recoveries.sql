-- A failed load that Ollama repaired by itself is a notice, with the line that shows it.
alter table incidents add column recovered_event_id bigint;
comment on column incidents.recovered_event_id is
    'The runner that was ready after the server had tried again by itself: no request was lost, and the incident is '
    'of severity info; NULL else';
comment on column incidents.severity is
    'Worst severity among its records; info when the server recovered by itself before a request was lost';
