-- ---
-- name     = "gpu-memory"
-- title    = "Memory of devices"
-- question = "How much memory was free on each device, when was it lowest, and what used it then?"
-- common   = ["since", "until", "host", "bucket"]
-- coverage = ["undated", "sessions"]
-- columns  = [
--   {name = "host", below = true, type = "varchar", meaning = "Host, or else the log that names it"},
--   {name = "device", type = "varchar", meaning = """Device as a runner names it (CUDA0), or else as the scheduler \
--      does (GPU- and eight digits); cpu is the memory of the host"""},
--   {name = "name", below = true, type = "varchar", meaning = "What it calls itself"},
--   {name = "since_ts", below = true, type = "timestamptz", meaning = """With --param by=bucket the start of the \
--      step in time, with by=session the first reading of the run; else the first reading"""},
--   {name = "total_bytes", type = "bigint", unit = "bytes", meaning = "Memory of the device, if it is in the log"},
--   {name = "lowest_free_bytes", type = "bigint", unit = "bytes", meaning = "Least that was free"},
--   {name = "lowest_share", type = "double", unit = "share", meaning = "lowest_free_bytes of total_bytes"},
--   {name = "median_free_bytes", type = "bigint", unit = "bytes", meaning = "Median of the free memory"},
--   {name = "last_free_bytes", type = "bigint", unit = "bytes", meaning = "What was free at the last reading"},
--   {name = "tightest_ts", below = true, type = "timestamptz", meaning = """When the least was free, for the first \
--      time"""},
--   {name = "others_used_bytes", below = true, type = "bigint", unit = "bytes", meaning = """Most that was in use \
--      when a server had just started: other programs"""},
--   {name = "model", below = true, type = "varchar", meaning = """Model whose load was the last to succeed before \
--      tightest_ts; the log may not show that it was unloaded since"""},
--   {name = "model_needed_bytes", below = true, type = "bigint", unit = "bytes", meaning = """What that load needed \
--      on all devices, as the log says"""},
--   {name = "model_ago_us", below = true, type = "bigint", unit = "us", meaning = """From the end of that load to \
--      tightest_ts"""},
--   {name = "next_model", below = true, type = "varchar", meaning = """Model whose load began within a minute after \
--      tightest_ts: memory is read before a load"""},
--   {name = "reading_count", below = true, type = "bigint", meaning = """Readings; the log gives memory at starts \
--      and at loads, not in between"""},
--   {name = "sources", below = true, type = "varchar", meaning = "Which lines gave it, and how often"},
--   {name = "session_id", below = true, type = "integer", meaning = "Run of the server, with --param by=session"},
-- ]
-- [param.by]
-- type = "varchar"
-- choices = ["device", "session", "bucket"]
-- default = "device"
-- help = "One row per device, or per device and run of the server, or per device and step in time"
-- ---
select
    host, device, name, since_ts, total_bytes, lowest_free_bytes, lowest_share, median_free_bytes, last_free_bytes,
    tightest_ts, others_used_bytes, model, model_needed_bytes, model_ago_us, next_model, reading_count, sources,
    session_id
from report_gpu_memory($since, $until, $host, $bucket, $tz, $by)
order by host, device = 'cpu', device, since_ts, session_id
