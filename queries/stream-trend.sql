-- ---
-- name     = "stream-trend"
-- title    = "Streams over time"
-- question = "Since when do streams break, and how sure is that?"
-- common   = ["since", "until", "host", "model", "endpoint", "bucket", "tz", "min_count"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "bucket", type = "timestamptz", meaning = "Start of the hour (of UTC), day or week (of --tz); times without any are shown"},
--   {name = "stream_count", type = "bigint", meaning = "Streams that ended in it; one that server and client saw counts once"},
--   {name = "known_count", type = "bigint", meaning = "Outcome proven: completed, failed or truncated; the denominator"},
--   {name = "bad_count", type = "bigint", meaning = "Failed or truncated: the numerator"},
--   {name = "cancelled_count", type = "bigint", meaning = "The client went away; in neither side of the rate"},
--   {name = "suspected_count", type = "bigint", meaning = "Logged as 200 although the runner died, and seen by no client"},
--   {name = "not_observable_count", type = "bigint", meaning = "Logged as 200, which proves nothing"},
--   {name = "failure_rate", type = "double", unit = "share", meaning = "bad_count of known_count; empty below min_count"},
--   {name = "rate_low", type = "double", unit = "share", meaning = "Lower end of the 95 % Wilson interval"},
--   {name = "rate_high", type = "double", unit = "share", meaning = "Upper end of the 95 % Wilson interval"},
-- ]
-- ---
with clock as (
    -- Hours are those of UTC: a local hour comes twice, or never, on the day the clocks change.
    select case when $bucket = 'hour' then 'UTC' else $tz end as zone,
        case $bucket when 'hour' then interval '1' hour when 'day' then interval '1' day else interval '7' day end as step,
        greatest(min(first_ts), $since) as first_ts, least(max(last_ts), cast($until as timestamptz) - interval '1' microsecond) as last_ts
    from sources
    where coalesce(host = $host, true)
),
counted as (
    select date_trunc($bucket, t.ts_end at time zone k.zone) as bucket, count(*) as streams,
        count(*) filter (where t.stream_outcome not in ('cancelled_by_client', 'not_observable')) as known,
        count(*) filter (where t.stream_outcome in ('failed_before_first_byte', 'failed_mid_stream', 'truncated')) as bad,
        count(*) filter (where t.stream_outcome = 'cancelled_by_client') as cancelled,
        count(*) filter (where t.is_suspected and t.stream_outcome = 'not_observable') as suspected,
        count(*) filter (where t.stream_outcome = 'not_observable') as unseen
    from streams as t cross join clock as k left join server_sessions as s on s.session_id = t.session_id
    where coalesce(t.ts_end >= $since, $since is null) and coalesce(t.ts_end < $until, $until is null) and coalesce(s.host = $host, $host is null)
      and coalesce(t.model = $model, $model is null) and coalesce(t.endpoint = $endpoint, $endpoint is null)
    group by 1
),
buckets as (
    select zone, unnest(generate_series(
        date_trunc($bucket, first_ts at time zone zone), date_trunc($bucket, last_ts at time zone zone), step)) as bucket
    from clock
),
rated as (
    select b.zone, b.bucket, c.streams, c.known, c.bad, c.cancelled, c.suspected, c.unseen, case when c.known >= greatest($min_count, 1) then c.known end as n
    from buckets as b left join counted as c on c.bucket = b.bucket
)
select bucket at time zone zone as bucket, coalesce(streams, 0) as stream_count, coalesce(known, 0) as known_count, coalesce(bad, 0) as bad_count,
    coalesce(cancelled, 0) as cancelled_count, coalesce(suspected, 0) as suspected_count, coalesce(unseen, 0) as not_observable_count, bad / cast(n as double) as failure_rate,
    wilson_low(bad, n) as rate_low, wilson_high(bad, n) as rate_high
from rated
order by bucket
