-- Which lines may be of one request. `back`: an access line of a gateway and one of Ollama; `why`: an access line of a
-- gateway and its reason in the error log; `call`: an access line of a gateway and a call that never reached Ollama.
-- Pairs before `pairs_from` stay as they are.
--
-- reads: calls, errors, events, requests
-- makes: ended_lines, one row per access line near what was touched
-- makes: fits_status()
-- makes: gateway_faults, one row per problem in the error log of a gateway
-- makes: gateway_candidates, one row per pair of lines that may be one request
-- makes: gateway_pairs, one row per pair of lines that are one request

create or replace temp table ended_lines as
with near_requests as (
    select *, surface = 'gateway' as is_gateway
    from requests
    where ts_end >= cast(getvariable('pairs_from') as timestamptz) - interval 2 minute
)
select
    request_id, event_id, is_gateway, ts_start, ts_end, duration_us, status, method, endpoint, path, client_address,
        upstream_request_id,
    -- Requests of one second are matched in their order.
    row_number() over (partition by is_gateway, method, endpoint, status, ts_end order by event_id) as place
from near_requests;

-- Which status a request can have when nginx logs this: once the answer has begun, its status stays.
create or replace temp macro fits_status(message, cause, status) as case
    when cause = 'request_too_large' then status = 413
    when cause = 'gateway_client_closed' then status = 499 or status < 400
    when contains(message, 'while reading upstream') then status < 400
    when contains(message, 'response header from upstream') or contains(message, 'to upstream')
        or contains(message, 'could not be resolved') then status >= 500
    else status >= 400
end;

create or replace temp table gateway_faults as
with error_lines as (
    select
        e.event_id, e.ts, e.message, e.cause, e.source_id, e.attrs ->> '$.client' as client_address,
            e.attrs ->> '$.connection' as connection,
        e.attrs ->> '$.request_id' as request_id, regexp_extract(e.attrs ->> '$.request', '^([A-Z]+) ', 1) as method,
        regexp_extract(e.attrs ->> '$.request', '^[A-Z]+ ([^ ?]*)', 1) as path
    from errors as x
    inner join events as e using (event_id)
    where x.surface = 'gateway' and x.request_id is null
        and x.ts >= cast(getvariable('pairs_from') as timestamptz) - interval 2 minute
)
select *, row_number() over (partition by source_id, client_address, method, path, cause, ts order by event_id) as place
from error_lines;

create or replace temp table gateway_candidates as
with fronts as (
    select l.*, row_number() over (partition by l.client_address, l.method, l.path, l.status, l.ts_end
        order by l.event_id) as place_there
    from ended_lines as l
    where l.is_gateway and l.ts_end >= getvariable('pairs_from')
),
settled_pairs as (
    select answered_by, explained_by, asked_by from requests where surface = 'gateway'
        and ts_end < getvariable('pairs_from')
        and ts_end >= cast(getvariable('pairs_from') as timestamptz) - interval 1 hour
)
select 'back' as kind, f.request_id as front_id, o.request_id as other_id,
    cast(o.status <> f.status as integer) as is_other_status, abs(epoch_ms(o.ts_end - f.ts_end)) as end_ms,
    coalesce(abs(o.duration_us - f.duration_us), 0) as duration_us, abs(o.place - f.place) as places
from fronts as f
inner join ended_lines as o on o.method = f.method and o.endpoint = f.endpoint and not o.is_gateway
where o.request_id not in (select answered_by from settled_pairs where answered_by is not null)
    and case
        when o.status = f.status then o.ts_end <= f.ts_end + interval 1 second
            and case when f.ts_start is null then o.ts_end >= f.ts_end - interval 1 second
                else abs(epoch_ms(o.ts_start - f.ts_start)) <= 1200 end
        -- A gateway whose client left, or that ran out of patience, closes the connection; Ollama may need a moment to
        -- see it.
        when f.status in (499, 504) and o.status in (200, 499, 500) then o.ts_end between f.ts_end - interval 1 second
            and f.ts_end + interval 10 second
            and coalesce(abs(epoch_ms(o.ts_start - f.ts_start)) <= 1200, true)
        else false
    end
union all
-- nginx logs why a request ends, and then that it ended.
select 'why', f.request_id, e.event_id, 0, epoch_ms(f.ts_end - e.ts), 0, abs(e.place - f.place_there)
from fronts as f
inner join gateway_faults as e on e.client_address = f.client_address and e.method = f.method and e.path = f.path
where f.ts_end - e.ts between interval 0 second and interval 1 second and fits_status(e.message, e.cause, f.status)
    and e.event_id not in (select explained_by from settled_pairs where explained_by is not null)
union all
-- one-api and new-api give each request a name.
select 'why', f.request_id, min(e.event_id), 0, 0, 0, 0
from fronts as f
inner join gateway_faults as e on e.request_id = f.upstream_request_id
group by f.request_id
union all
-- Ollama has no line of a request that a gateway refused or could not deliver.
select 'call', f.request_id, c.call_id, 0, abs(epoch_ms(c.ts_end - f.ts_end) - 500), 0, 0
from fronts as f
inner join calls as c on c.endpoint = f.path and c.method = f.method
where c.request_id is null and c.ts_end between f.ts_end - interval 200 millisecond
    and f.ts_end + interval 1500 millisecond
    and (c.http_status = f.status or (f.status < 400 and c.outcome in ('truncated', 'failed_mid_stream')))
    and c.call_id not in (select asked_by from settled_pairs where asked_by is not null);

create or replace temp table gateway_pairs (kind varchar, front_id bigint, other_id bigint);
