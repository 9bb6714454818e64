-- The rows of the report coverage: what is missing from the answers, and why?
create or replace macro report_coverage(period_start, period_end, of_host) as table
with event_counts as (
    select
        count(*) filter (where format = 'unknown') as unknown_count,
        count(*) as event_count,
        count(*) filter (where ts is null) as undated_count,
        count(*) filter (where ts_source = 'file') as file_count
    from events
    where in_period(ts, period_start, period_end) and matches(host, of_host)
),
blind_spots as (
    select
        'unknown' as topic, unknown_count as amount, 1 as place,
        'records of no known shape: ' as note,
        ' of ' || event_count as more
    from event_counts
    union all
    select 'undated', undated_count, 3, 'records without a time, in no period or trend: ', ''
    from event_counts
    union all
    select
        'file_times', file_count, 3,
        'records of logs without times, which have the time of their file: ',
        ''
    from event_counts
    union all
    select 'rejects', coalesce(sum(r.line_count), 0), 2, 'lines that could not be read: ', ''
    from rejects as r
    inner join sources as s on s.source_id = r.source_id
    where r.reason <> 'blank' and matches(s.host, of_host)
    union all
    select 'guesses', count(*), 4, 'errors known by their HTTP status alone: ', ''
    from errors
    where confidence = 'guess'
      and in_period(ts, period_start, period_end)
      and matches(host, of_host)
    union all
    select
        'not_observable',
        count(*),
        5,
        'streams logged as 200, which does not prove that they finished: ',
        ''
    from streams as r
    left join server_sessions as s on s.session_id = r.session_id
    where r.stream_outcome = 'not_observable'
      and in_period(r.ts_end, period_start, period_end)
      and matches(s.host, of_host)
    union all
    select 'crashes', count(*), 6, 'crashes of the server, which may hide requests in flight: ', ''
    from server_sessions
    where end_reason in ('crashed', 'oom_killed')
      and in_period(ts_end, period_start, period_end)
      and matches(host, of_host)
    union all
    select
        'sessions',
        count(*),
        7,
        'stretches of log without a start of the server (version and settings unknown): ',
        ''
    from server_sessions
    where ts_start is null
      and coalesce(ts_end >= period_start, period_start is null)
      and matches(host, of_host)
      and session_id in (
          select session_id
          from events
          where not regexp_matches(
              format,
              '^(?:client|curl|gateway|nginx)-|^(?:go-client|node-start|litellm-log|foreign|unknown)$'
          )
      )
    union all
    select
        'gaps',
        count(*),
        8,
        'stretches of the journal that were vacuumed before they were read: ',
        ' ('
            || string_agg(
                strftime(from_ts, '%Y-%m-%d %H:%M') || ' to ' || strftime(to_ts, '%Y-%m-%d %H:%M'),
                ', ' order by from_ts
            )
            || ' UTC)'
    from gaps
    where coalesce(to_ts >= period_start, true)
      and coalesce(from_ts < period_end, true)
      and matches(host, of_host)
)
select topic, cast(amount as bigint) as amount, note || amount || more as note, place
from blind_spots
where amount > 0;
