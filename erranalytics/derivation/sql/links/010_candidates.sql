-- Which access line may be which call: the same route, a start within the second to which an access line is rounded, a
-- status and a duration that fit. Links before `pairs_from` stay as they are and only bound the others.
--
-- reads: calls, events, requests, server_sessions
-- makes: link_skews, one row per client and server whose clocks differ
-- makes: link_candidates, one row per call and access line that may be one request
-- makes: links, one row per call and access line that are one request
-- makes: slack()
-- makes: free_pairs()

-- How far the clock of a client is ahead of the server's. Access lines have whole seconds, so only durations identify
-- calls over a distance: the shift at which most calls meet a line of nearly their own duration, if it is clear.
create or replace temp table link_skews as
with slow_calls as (
    select source_id, endpoint, method, http_status, ts_start, duration_ms,
        cast(floor(ln(duration_ms) / 0.02) as integer) as size
    from calls
    where duration_ms >= 200 and http_status is not null and status_source = 'wire'
),
slow_lines as (
    select s.source_id, r.path, r.method, r.status, r.ts_start,
        cast(floor(ln(r.duration_us / 1000.0) / 0.02) as integer) as size
    from requests as r
    inner join server_sessions as s using (session_id)
    where r.duration_us >= 150000 and r.surface = 'ollama'
),
meetings as (
    select c.source_id as client_id, l.source_id as server_id,
        cast(round(date_diff('millisecond', l.ts_start, c.ts_start) / 1000.0 - 0.5) as bigint) as shift_s
    from slow_calls as c
    inner join slow_lines as l on l.path = c.endpoint and l.method = c.method and l.status = c.http_status
        and l.size between c.size - 4 and c.size
    where l.ts_start between c.ts_start - interval 15 minute and c.ts_start + interval 15 minute
),
shift_counts as (
    select client_id, server_id, shift_s, count(*) as n from meetings group by client_id, server_id, shift_s
),
-- A shift between two whole seconds shows in both.
shift_sums as (
    select a.client_id, a.server_id, a.shift_s, a.n + coalesce(b.n, 0) as n, a.n as own
    from shift_counts as a
    left join shift_counts as b on b.client_id = a.client_id and b.server_id = a.server_id and b.shift_s = a.shift_s + 1
),
shift_ranks as (
    select *, row_number() over (partition by client_id, server_id order by n desc, abs(shift_s), shift_s) as place,
        max(n) filter (where shift_s between -1 and 0) over (partition by client_id, server_id) as unshifted
    from shift_sums
)
select client_id, server_id, shift_s * 1000 as skew_ms
from shift_ranks
where place = 1 and n >= 5 and shift_s not between -1 and 0 and n > 2 * coalesce(unshifted, 0);

create or replace temp table link_candidates as
with settled_links as (
    select call_id, request_id from calls where request_id is not null and ts_start < getvariable('pairs_from')
),
free_calls as (
    select c.*, s.session_id as client_session_id
    from calls as c inner join events as s using (event_id)
    where c.ts_start >= getvariable('pairs_from') and c.method is not null and c.endpoint is not null
)
select c.call_id, r.request_id, r.session_id, r.event_id, k.skew_ms,
    -- The server finished between these two moments, by the clock of the client; unless the client had left before.
    c.ts_start + to_microseconds(r.duration_us) as first_end, c.ts_end as last_end,
    c.duration_ms - r.duration_us / 1000.0 as rest_ms,
    c.duration_ms - r.duration_us / 1000.0 > -30 as is_bounded
from free_calls as c
inner join requests as r on r.path = c.endpoint and r.method = c.method and r.surface = 'ollama'
inner join server_sessions as v on v.session_id = r.session_id
left join link_skews as k on k.client_id = c.source_id and k.server_id = v.source_id
where c.ts_start - to_milliseconds(coalesce(k.skew_ms, 0)) between r.ts_start - interval 150 millisecond
    and r.ts_start + interval 1100 millisecond + to_milliseconds(case when k.skew_ms is null then 0 else 1000 end)
    and r.request_id not in (select request_id from settled_links)
    and (c.duration_ms - r.duration_us / 1000.0 between -30 and 1000 + c.duration_ms / 20
        or c.outcome = 'cancelled_by_client' or c.http_status is null)
    and case
        when c.http_status is null and c.outcome = 'failed_mid_stream' then r.status = 200
        when c.http_status is null and c.outcome = 'failed_before_first_byte' then r.status in (499, 500)
        when c.http_status is null then r.status in (200, 499, 500)
        -- A gateway in between answers with a status of its own.
        when c.http_status in (502, 503, 504) and c.http_status <> r.status then r.status in (200, 499, 500)
        else c.http_status = r.status
    end;

create or replace temp table links as
select c.call_id, c.request_id, r.session_id, r.event_id, c.ts_start + to_microseconds(r.duration_us) as first_end,
    c.ts_end as last_end,
    c.duration_ms - r.duration_us / 1000.0 > -30 as is_bounded, c.link_confidence
from calls as c
inner join requests as r on r.request_id = c.request_id
where c.ts_start < getvariable('pairs_from')
    and c.ts_start >= cast(getvariable('pairs_from') as timestamptz) - interval 1 hour;

create or replace temp macro slack() as interval 20 millisecond;

-- Pairs that are still free and fit between the certain links: access lines are in the order in which they ended.
create or replace temp macro free_pairs() as table
with bounds as (
    select r.event_id, max(l.first_end) over earlier as after_ts, min(l.last_end) over later as before_ts
    from (select distinct event_id, session_id from link_candidates union select event_id, session_id from links) as r
    left join (select event_id, first_end, last_end from links where is_bounded
        and link_confidence = 'certain') as l using (event_id)
    window
        earlier as (partition by r.session_id order by r.event_id),
        later as (partition by r.session_id order by r.event_id rows between current row and unbounded following)
)
select p.*
from link_candidates as p
inner join bounds as b using (event_id)
where p.call_id not in (select call_id from links) and p.request_id not in (select request_id from links)
    and (
        not p.is_bounded
        or (coalesce(p.last_end >= b.after_ts - slack(), true) and coalesce(p.first_end <= b.before_ts + slack(), true))
    );
