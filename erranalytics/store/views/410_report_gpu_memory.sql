-- The rows of the report gpu-memory: how much memory was free on each device, when was it tightest, and who had it
-- then?
create or replace macro report_gpu_memory(
    period_start, period_end, of_host, of_bucket, of_zone, grouping_name
) as table
with chosen_readings as (
    select
        *,
        case when grouping_name = 'session' then session_id end as run_id,
        case
            when grouping_name = 'bucket'
                then date_trunc(
                    of_bucket,
                    ts at time zone coalesce(of_zone, 'UTC')
                ) at time zone coalesce(of_zone, 'UTC')
        end as step
    from device_readings
    where free_bytes is not null
      and in_period(ts, period_start, period_end)
      and matches(host, of_host)
),
source_counts as (
    select place, device, run_id, step, source, count(*) as n
    from chosen_readings
    group by all
),
source_texts as (
    select
        place, device, run_id, step,
        string_agg(source || ' ' || n, ', ' order by n desc, source) as sources
    from source_counts
    group by all
),
counts as (
    select
        place, device, run_id, step,
        arg_max(name, event_id) as name,
        arg_max(total_bytes, event_id) as total,
        min(free_bytes) as lowest,
        cast(median(free_bytes) as bigint) as middle,
        arg_max(free_bytes, event_id) as last,
        min(ts) as first_ts,
        arg_min(row(ts, session_id, event_id), row(free_bytes, event_id)) as tightest,
        max(used_bytes) filter (where source = 'inference_compute') as others,
        count(*) as n
    from chosen_readings
    group by place, device, run_id, step
),
tightest_readings as (
    select *, tightest[1] as tightest_ts, tightest[2] as at_session, tightest[3] as at_event
    from counts
)
select
    k.place as host, k.device, k.name,
    coalesce(k.step, k.first_ts) as since_ts,
    k.total as total_bytes, k.lowest as lowest_free_bytes,
    k.lowest / cast(nullif(k.total, 0) as double) as lowest_share,
    k.middle as median_free_bytes, k.last as last_free_bytes, k.tightest_ts,
    k.others as others_used_bytes,
    coalesce(l.model, l.title, l.blob) as model,
    l.required_bytes as model_needed_bytes,
    cast(epoch_us(k.tightest_ts) - epoch_us(l.ts_end) as bigint) as model_ago_us,
    case
        when x.ts_start <= k.tightest_ts + interval '1' minute
            then coalesce(x.model, x.title, x.blob)
    end as next_model,
    k.n as reading_count, t.sources, k.run_id as session_id
from tightest_readings as k
asof left join (select * from model_loads where outcome = 'loaded') as l
    on l.session_id = k.at_session and l.last_event_id < k.at_event
asof left join model_loads as x on x.session_id = k.at_session and x.load_seq > k.at_event
left join source_texts as t
    on t.place = k.place
        and t.device = k.device
        and t.run_id is not distinct from k.run_id
        and t.step is not distinct from k.step;
