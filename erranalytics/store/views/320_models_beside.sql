create or replace view models_beside as
with loaded_models as (
    select
        m.incident_id, m.first_ts, m.keep_alive_s,
        coalesce(l.model, l.title, l.blob) as model,
        -- Unloading what a load has on the host frees nothing on a device.
        cast(
            coalesce(l.required_bytes, l.weights_bytes + coalesce(l.kv_bytes, 0) + coalesce(l.graph_bytes, 0)) * case
                when m.device = 'host' or l.layers_total is null then 1
                else l.layers_offloaded / cast(nullif(l.layers_total, 0) as double)
            end as bigint
        ) as byte_count,
        l.load_seq,
        coalesce(l.ts_end, l.ts_start) as used_ts
    from memory_failures as m
    inner join model_loads as l
        on l.session_id = m.session_id
            and l.outcome = 'loaded'
            and l.last_event_id < coalesce(m.load_seq, m.root_event_id)
            and l.blob is distinct from m.blob
            and l.blob is not null
    qualify row_number() over (partition by m.incident_id, l.blob order by l.load_seq desc) = 1
)
select incident_id, model, byte_count, load_seq
from loaded_models
where epoch(first_ts) - epoch(used_ts) <= keep_alive_s;
comment on view models_beside is
    'Models that were loaded in the run and whose keep-alive had not passed when a memory failure began; a request '
    'in between may have kept others';
comment on column models_beside.model is 'Name, else title, else digest of its file';
comment on column models_beside.load_seq is 'Its last load, see model_loads';
comment on column models_beside.byte_count is 'What the model took when it was loaded, bytes';
