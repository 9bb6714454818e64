-- Which lines are one request. Only differences are written.
--
-- reads: gateway_pairs, requests
-- writes: requests

update requests set answered_by = n.answered_by, explained_by = n.explained_by, asked_by = n.asked_by
from (
    select r.request_id, b.other_id as answered_by, w.other_id as explained_by, c.other_id as asked_by
    from requests as r
    left join gateway_pairs as b on b.kind = 'back' and b.front_id = r.request_id
    left join gateway_pairs as w on w.kind = 'why' and w.front_id = r.request_id
    left join gateway_pairs as c on c.kind = 'call' and c.front_id = r.request_id
    where r.surface = 'gateway' and r.ts_end >= getvariable('pairs_from')
) as n
where requests.request_id = n.request_id
    and row(requests.answered_by, requests.explained_by, requests.asked_by) is distinct
        from row(n.answered_by, n.explained_by, n.asked_by);
