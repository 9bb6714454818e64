-- The rows of the report latency: how long do requests take, apart by how they ended, and is it the load of a model
-- that makes them slow?
create or replace macro report_latency(
    period_start, period_end, of_host, of_model, of_endpoint, least_count, grouping_name, of_routes
) as table
with loads_inside as materialized (select request_id, load_seq, load_us, is_own from waits),
chosen_requests as (
    select
        m.*, w.load_us,
        case
            when w.load_seq is not null and coalesce(w.is_own, true) then 'cold'
            when w.load_seq is null
                and m.surface = 'ollama'
                and m.session_id in (select session_id from model_loads)
                then 'warm'
        end as state,
        coalesce(
            case grouping_name
                when 'model' then m.model
                when 'version' then m.version
                when 'status' then cast(m.status as varchar)
                when 'client' then m.client
                when 'surface' then m.surface
                else m.endpoint
            end,
            '?'
        ) as name
    from measures as m
    left join loads_inside as w on w.request_id = m.request_id and m.surface = 'ollama'
    where (m.is_nearest or grouping_name = 'surface')
      and (m.is_inference or of_routes = 'all')
      and in_period(m.ts_end, period_start, period_end)
      and matches(m.host, of_host)
      and matches(m.model, of_model)
      and matches(m.endpoint, of_endpoint)
),
counts as (
    select
        case when grouping(name) = 1 then 'all' else name end as name,
        grouping(name) as is_all,
        fate,
        count(*) as request_count,
        count(duration_us) as n,
        quantile_cont(duration_us, [0.5, 0.9, 0.95, 0.99]) as p,
        max(duration_us) as longest,
        count(duration_us) filter (where state = 'warm') as warm_n,
        quantile_cont(duration_us, [0.5, 0.95]) filter (where state = 'warm') as warm,
        count(duration_us) filter (where state = 'cold') as cold_n,
        quantile_cont(duration_us, 0.5) filter (where state = 'cold') as cold,
        quantile_cont(load_us, 0.5) filter (where state = 'cold') as load,
        count(first_chunk_ms) as first_n,
        quantile_cont(first_chunk_ms * 1000, [0.5, 0.95]) as first,
        concat_ws(
            ', ',
            'ollama ' || nullif(count(*) filter (where surface = 'ollama'), 0),
            'gateway ' || nullif(count(*) filter (where surface = 'gateway'), 0),
            'client ' || nullif(count(*) filter (where surface = 'client'), 0)
        ) as surfaces
    from chosen_requests
    group by grouping sets ((name, fate), (fate))
)
select
    name, fate, request_count, n as timed_count,
    cast(case when n >= least_count then p[1] end as bigint) as p50_us,
    cast(case when n >= least_count then p[2] end as bigint) as p90_us,
    cast(case when n >= least_count then p[3] end as bigint) as p95_us,
    cast(case when n >= 5 * least_count then p[4] end as bigint) as p99_us,
    longest as max_us, warm_n as warm_count,
    cast(case when warm_n >= least_count then warm[1] end as bigint) as warm_p50_us,
    cast(case when warm_n >= least_count then warm[2] end as bigint) as warm_p95_us,
    cold_n as cold_count,
    cast(case when cold_n >= least_count then cold end as bigint) as cold_p50_us,
    cast(case when cold_n >= least_count then load end as bigint) as load_p50_us,
    first_n as first_chunk_count,
    cast(case when first_n >= least_count then first[1] end as bigint) as first_chunk_p50_us,
    cast(case when first_n >= least_count then first[2] end as bigint) as first_chunk_p95_us,
    surfaces,
    case when n < least_count then 'too few: ' || n || ' of ' || least_count end as note,
    is_all
from counts
where is_all = 0 or grouping_name <> 'surface';
