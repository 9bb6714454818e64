-- ---
-- name     = "streaming-failures"
-- title    = "Streams that failed"
-- question = "How many streams failed, and how many can be judged at all?"
-- common   = ["since", "until", "host", "model", "endpoint", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "endpoint", type = "varchar", meaning = "Route that can stream, or what --param by=… names; the last row is all of them"},
--   {name = "stream_count", type = "bigint", meaning = "Streams; one that server and client saw counts once"},
--   {name = "known_count", type = "bigint", meaning = "Outcome proven: completed, failed or truncated; the denominator"},
--   {name = "failed_count", type = "bigint", meaning = "Ended with an error, before or after the first byte"},
--   {name = "truncated_count", type = "bigint", meaning = "Ended without a last chunk; only a client can see it"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client went away; in neither side of the rate"},
--   {name = "suspected_count", below = true, type = "bigint", meaning = "Logged as 200 although the runner died: part of not_observable_count"},
--   {name = "not_observable_count", below = true, type = "bigint", meaning = "Logged as 200, which proves nothing"},
--   {name = "not_observable_share", below = true, type = "double", unit = "share", meaning = "not_observable_count of stream_count"},
--   {name = "bad_count", below = true, type = "bigint", meaning = "failed and truncated: the numerator"},
--   {name = "failure_rate", below = true, type = "double", unit = "share", meaning = "bad_count of known_count; empty when it cannot be judged"},
--   {name = "rate_low", below = true, type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", below = true, type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
--   {name = "at_least", type = "double", unit = "share", meaning = "bad_count of all streams not cancelled: the rate if every unseen end was good"},
--   {name = "note", below = true, type = "varchar", meaning = "Why there is no rate, or how to read it"},
-- ]
-- [param.by]
-- type = "varchar"
-- choices = ["endpoint", "model", "client", "version"]
-- default = "endpoint"
-- help = "What the streams are grouped by"
-- ---
with counted as (
    select
        case when grouping(r.name) = 1 then 'all' else r.name end as endpoint, count(*) as stream_count,
        count(*) filter (where r.stream_outcome = 'completed') as completed_count,
        count(*) filter (where r.stream_outcome in ('failed_before_first_byte', 'failed_mid_stream')) as failed_count,
        count(*) filter (where r.stream_outcome = 'truncated') as truncated_count, count(*) filter (where r.stream_outcome = 'cancelled_by_client') as cancelled_count,
        count(*) filter (where r.is_suspected and r.stream_outcome = 'not_observable') as suspected_count,
        count(*) filter (where r.stream_outcome = 'not_observable') as not_observable_count
    from (
        select t.*, s.host, coalesce(case $by when 'model' then t.model when 'client' then t.client when 'version' then s.version else t.endpoint end, '?') as name
        from streams as t left join server_sessions as s on s.session_id = t.session_id
    ) as r
    where coalesce(r.ts_end >= $since, $since is null) and coalesce(r.ts_end < $until, $until is null) and coalesce(r.host = $host, $host is null)
      and coalesce(r.model = $model, $model is null) and coalesce(r.endpoint = $endpoint, $endpoint is null)
    group by grouping sets ((r.name), ())
),
rated as (
    select *, case when known_count >= greatest($min_count, 1) then known_count end as n
    from (select *, failed_count + truncated_count as bad_count, completed_count + failed_count + truncated_count as known_count from counted) as c
)
select
    endpoint, stream_count, known_count, failed_count, truncated_count, cancelled_count, suspected_count, not_observable_count,
    not_observable_count / cast(nullif(stream_count, 0) as double) as not_observable_share, bad_count, bad_count / cast(n as double) as failure_rate,
    wilson_low(bad_count, n) as rate_low, wilson_high(bad_count, n) as rate_high,
    bad_count / cast(nullif(stream_count - cancelled_count, 0) as double) as at_least,
    case when n is null then 'too few' when completed_count = 0 then 'only failures are provable from a server log: read at_least' end as note
from rated
order by endpoint = 'all', endpoint
