create or replace view incident_groups as
with root_errors as (
    select
        e.incident_id,
        arg_min(e.model, e.error_id) filter (where e.model is not null) as model,
        arg_min(e.endpoint, e.error_id) filter (where e.endpoint is not null) as endpoint
    from errors as e
    inner join incidents as i on i.incident_id = e.incident_id and i.root_event_id = e.event_id
    group by e.incident_id
),
incident_requests as (
    select incident_id, event_id, model, endpoint, client_address, cast(null as varchar) as client
    from requests
    where incident_id is not null and surface = 'ollama'
    union all
    select incident_id, event_id, model, endpoint, cast(null as varchar) as client_address, client
    from calls
    where incident_id is not null
),
first_requests as (
    select
        incident_id,
        arg_min(model, event_id) filter (where model is not null) as model,
        arg_min(endpoint, event_id) filter (where endpoint is not null) as endpoint,
        arg_min(client, event_id) filter (where client is not null) as client,
        arg_min(client_address, event_id) filter (
            where client_address is not null
        ) as client_address
    from incident_requests
    group by incident_id
)
select
    i.incident_id, i.first_ts, i.last_ts, i.code, i.severity, i.models, s.host, s.version,
    coalesce(
        r.model, i.models[1], h.model,
        case when c.phase = 'load' then coalesce(l.model, f.model, l.blob) end
    ) as model,
    coalesce(r.endpoint, h.endpoint) as endpoint,
    h.client, h.client_address
from incidents as i
asof left join model_loads as l
    on l.session_id = i.session_id and l.first_event_id <= i.root_event_id
left join names_of_files as f on f.blob = l.blob
left join root_errors as r on r.incident_id = i.incident_id
left join first_requests as h on h.incident_id = i.incident_id
left join causes as c on c.code = i.code
left join server_sessions as s on s.session_id = i.session_id;
comment on view incident_groups is
    'One row per incident with the one model, route, client and version it is counted under';
comment on column incident_groups.models is 'All models its records name, sorted';
comment on column incident_groups.model is
    'Model its root names, else the first its records or requests name, else, of a failed load, the name or digest '
    'of its file; NULL when the log does not name it';
comment on column incident_groups.endpoint is
    'Route its root names, else that of the first request it hit; NULL when it hit none';
comment on column incident_groups.client is 'Client of the first call it hit; NULL when no client recorded it';
comment on column incident_groups.client_address is 'Address of the first request it hit';
comment on column incident_groups.version is 'Version of Ollama, from the run it began in';
