-- A client knows which model it asked for; only a dumped body knows it as well.
--
-- reads: calls, scope
-- writes: requests

update requests set model = null, model_source = null
where model_source = 'client' and ts_start >= cast(getvariable('pairs_from') as timestamptz)
    and not exists (select 1 from calls as c where c.request_id = requests.request_id and c.model = requests.model);

-- A client knows which model it asked for; only a dumped body knows it as well.
update requests set model = c.model, model_source = 'client'
from calls as c
where c.request_id = requests.request_id and c.model is not null
    and (c.ts_start >= getvariable('pairs_from') or requests.session_id in (select session_id from scope))
    and coalesce(requests.model_source, '') <> 'body_file'
        and (requests.model is distinct from c.model or requests.model_source is distinct from 'client');
