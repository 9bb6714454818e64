-- ---
-- name     = "gpu-memory"
-- title    = "Memory of devices"
-- question = "How much memory was free on each device, when was it tightest, and who had it then?"
-- common   = ["since", "until", "host", "bucket"]
-- coverage = ["undated", "sessions"]
-- columns  = [
--   {name = "host", below = true, type = "varchar", meaning = "Host, else the log that tells it"},
--   {name = "device", type = "varchar", meaning = "Device as a runner names it (CUDA0), else as the scheduler does (GPU- and eight digits); cpu is the memory of the host"},
--   {name = "name", below = true, type = "varchar", meaning = "What it calls itself"},
--   {name = "since_ts", below = true, type = "timestamptz", meaning = "With --param by=bucket the start of the step in time, with by=session the first reading of the run; else the first reading"},
--   {name = "total_bytes", type = "bigint", unit = "bytes", meaning = "Memory of the device, where the log tells it"},
--   {name = "lowest_free_bytes", type = "bigint", unit = "bytes", meaning = "Least that was free"},
--   {name = "lowest_share", type = "double", unit = "share", meaning = "lowest_free_bytes of total_bytes"},
--   {name = "median_free_bytes", type = "bigint", unit = "bytes", meaning = "Median of what was free"},
--   {name = "last_free_bytes", type = "bigint", unit = "bytes", meaning = "What was free at the last reading"},
--   {name = "tightest_ts", below = true, type = "timestamptz", meaning = "When the least was free, the first time"},
--   {name = "others_used_bytes", below = true, type = "bigint", unit = "bytes", meaning = "Most that was in use when a server had just started: other programs"},
--   {name = "model", below = true, type = "varchar", meaning = "Model whose load was the last to succeed before tightest_ts; the log may not tell that it was unloaded since"},
--   {name = "model_needed_bytes", below = true, type = "bigint", unit = "bytes", meaning = "What that load needed on all devices, as the log says"},
--   {name = "model_ago_us", below = true, type = "bigint", unit = "us", meaning = "From the end of that load to tightest_ts"},
--   {name = "next_model", below = true, type = "varchar", meaning = "Model whose load began within a minute after tightest_ts: memory is read before a load"},
--   {name = "reading_count", below = true, type = "bigint", meaning = "Readings: the log tells of memory at starts and at loads, not in between"},
--   {name = "sources", below = true, type = "varchar", meaning = "Which lines told it, and how often"},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server, with --param by=session"},
-- ]
-- [param.by]
-- type = "varchar"
-- choices = ["device", "session", "bucket"]
-- default = "device"
-- help = "One row per device, or per device and run of the server, or per device and step in time"
-- ---
with chosen as (
    select *, case when $by = 'session' then session_id end as run_id, case when $by = 'bucket' then date_trunc($bucket, ts at time zone coalesce($tz, 'UTC')) at time zone coalesce($tz, 'UTC') end as step
    from device_readings where free_bytes is not null and coalesce(ts >= $since, $since is null) and coalesce(ts < $until, $until is null) and coalesce(host = $host, $host is null)
),
kinds as (select place, device, run_id, step, source, count(*) as n from chosen group by all),
told as (select place, device, run_id, step, string_agg(source || ' ' || n, ', ' order by n desc, source) as sources from kinds group by all),
counted as (
    select place, device, run_id, step, arg_max(name, event_id) as name, arg_max(total_bytes, event_id) as total, min(free_bytes) as lowest, cast(median(free_bytes) as bigint) as middle, arg_max(free_bytes, event_id) as last, min(ts) as first_ts,
        arg_min(row(ts, session_id, event_id), row(free_bytes, event_id)) as tightest, max(used_bytes) filter (where source = 'inference_compute') as others, count(*) as n
    from chosen group by place, device, run_id, step
),
keyed as (select *, tightest[1] as tightest_ts, tightest[2] as at_session, tightest[3] as at_event from counted)
select k.place as host, k.device, k.name, coalesce(k.step, k.first_ts) as since_ts, k.total as total_bytes, k.lowest as lowest_free_bytes, k.lowest / cast(nullif(k.total, 0) as double) as lowest_share, k.middle as median_free_bytes, k.last as last_free_bytes, k.tightest_ts, k.others as others_used_bytes,
    coalesce(l.model, l.title, l.blob) as model, l.required_bytes as model_needed_bytes, cast(epoch_us(k.tightest_ts) - epoch_us(l.ts_end) as bigint) as model_ago_us,
    case when x.ts_start <= k.tightest_ts + interval '1' minute then coalesce(x.model, x.title, x.blob) end as next_model, k.n as reading_count, t.sources, k.run_id as session_id
from keyed as k
asof left join (select * from model_loads where outcome = 'loaded') as l on l.session_id = k.at_session and l.last_event_id < k.at_event
asof left join model_loads as x on x.session_id = k.at_session and x.load_seq > k.at_event
left join told as t on t.place = k.place and t.device = k.device and t.run_id is not distinct from k.run_id and t.step is not distinct from k.step
order by k.place, k.device = 'cpu', k.device, coalesce(k.step, k.first_ts), k.run_id
