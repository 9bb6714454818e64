-- Which access line each call is, and why. Only differences are written.
--
-- reads: calls, link_candidates, links, requests
-- makes: current_links, one row per linked call, with the evidence
-- writes: calls

create or replace temp table current_links as
with near as (select call_id, count(*) as line_count from link_candidates group by call_id)
select l.call_id, l.request_id, l.link_confidence, p.skew_ms as link_skew_ms,
    'end ' || printf('%+d', cast(date_diff('millisecond', r.ts_end,
        c.ts_end) as bigint)) || ' ms, duration ' || printf('%+.1f', p.rest_ms) || ' ms, status '
    || case when c.http_status = r.status then 'equal'
        else coalesce(cast(c.http_status as varchar), 'none') || '/' || r.status end
    || case when n.line_count > 1 then ', of ' || n.line_count || ' lines' else '' end as link_evidence
from links as l
inner join link_candidates as p on p.call_id = l.call_id and p.request_id = l.request_id
inner join near as n on n.call_id = l.call_id
inner join calls as c on c.call_id = l.call_id
inner join requests as r on r.request_id = l.request_id;

update calls set request_id = n.request_id, link_confidence = n.link_confidence, link_evidence = n.link_evidence,
    link_skew_ms = n.link_skew_ms
from (
    select c.call_id, n.request_id, n.link_confidence, n.link_evidence, n.link_skew_ms
    from calls as c left join current_links as n using (call_id)
    where c.ts_start >= getvariable('pairs_from')
) as n
where calls.call_id = n.call_id
    and row(calls.request_id, calls.link_confidence, calls.link_evidence, calls.link_skew_ms)
        is distinct from row(n.request_id, n.link_confidence, n.link_evidence, n.link_skew_ms);
