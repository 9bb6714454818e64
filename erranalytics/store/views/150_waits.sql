create or replace view waits as
select
    r.request_id, l.load_seq, l.duration_us as load_us,
    coalesce(l.model, l.title, l.blob) as load_model,
    case
        when r.model in (l.model, l.blob) then true
        when r.model is not null and l.model is not null then false
    end as is_own
from (select * from requests where is_inference and surface = 'ollama') as r
asof inner join (select * from model_loads where duration_us is not null) as l
    on l.session_id = r.session_id and l.last_event_id < r.event_id
where l.ts_start >= r.ts_start and l.duration_us <= r.duration_us;
comment on view waits is
    'One row per request inside which a model was loaded: its last load before the end of the request';
comment on column waits.load_us is 'How long the load took, microseconds';
comment on column waits.load_model is 'Model that was loaded, else the title of its file, else its digest';
comment on column waits.is_own is
    'Whether it is the model of the request; NULL when the name of one of them is not known';
