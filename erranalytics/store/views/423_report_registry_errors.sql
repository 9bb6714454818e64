-- The rows of the report registry-errors: which models could not be pulled or pushed, from where, and did it work
-- later?
create or replace macro report_registry_errors(period_start, period_end, of_host, of_model, of_code) as table
with failures as (
    select
        i.incident_id, i.code, i.severity, i.first_ts, i.last_ts, i.error_count, i.root_event_id,
        c.phase, c.title, c.remedy
    from incidents as i
    inner join causes as c on c.code = i.code
    left join server_sessions as s on s.session_id = i.session_id
    where (
        c.category = 'registry'
        or c.layer = 'registry'
        or c.phase in ('pull', 'push')
        or i.incident_id in (
            select e.incident_id
            from errors as e
            where e.endpoint in ('/api/pull', '/api/push')
        )
    )
      and in_period(i.first_ts, period_start, period_end)
      and matches(s.host, of_host)
      and matches(i.code, of_code)
),
-- the facts in the URL of a registry; addresses of Ollama itself are in its calls
texts as (
    select
        f.incident_id, e.event_id,
        e.event_id = f.root_event_id as is_root,
        e.model,
        case when e.endpoint like '/api/%' then substring(e.endpoint from 6) end as action,
        e.message,
        coalesce(
            nullif(
                regexp_extract(
                    e.message,
                    'https?://(?:[^/@\s"\\]*@)?([^/\s"\\]+)/(?:[^\s"\\?]*/)?v2/',
                    1
                ),
                ''
            ),
            nullif(regexp_extract(e.message, 'lookup ([A-Za-z0-9.-]+)', 1), '')
        ) as host,
        nullif(
            replace(
                regexp_replace(
                    regexp_extract(
                        e.message,
                        '/v2/([^\s"\\?]+/(?:manifests/[^\s"\\?]+|blobs/))',
                        1
                    ),
                    '^library/|/blobs/$',
                    '', 'g'
                ),
                '/manifests/',
                ':'
            ),
            ''
        ) as path
    from failures as f
    inner join errors as e on e.incident_id = f.incident_id
),
root_texts as (
    select
        incident_id,
        coalesce(
            min(model) filter (where is_root),
            min(path) filter (where is_root),
            min(model),
            min(path)
        ) as model,
        coalesce(min(host) filter (where is_root), min(host)) as host,
        min(action) as action,
        coalesce(min(message) filter (where is_root), min(message)) as message
    from texts
    group by incident_id
),
named_failures as (
    select
        f.*,
        coalesce(t.action, f.phase) as action,
        coalesce(t.model, 'unknown') as model,
        regexp_replace(
            regexp_replace(t.message, '(sha256[:-][0-9a-f]{12})[0-9a-f]+', '\1…', 'g'),
            '\?[^\s"\\]+',
            '?…',
            'g'
        ) as message,
        coalesce(
            t.host,
            nullif(regexp_extract(t.model, '^(?:https?://)?([^/]+)/[^/]+/', 1), ''),
            'unknown'
        ) as registry
    from failures as f
    inner join root_texts as t on t.incident_id = f.incident_id
    where matches(t.model, of_model)
),
counts as (
    select
        code, action, registry, model,
        count(*) as incidents,
        sum(error_count) as errors,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        max(severity_rank(severity)) as worst,
        any_value(title) as title,
        any_value(remedy) as remedy,
        arg_max(message, root_event_id) as message
    from named_failures
    group by code, action, registry, model
),
recoveries as (
    select
        model,
        max(ts_end) filter (where endpoint = '/api/pull') as pulled,
        max(ts_end) filter (where endpoint <> '/api/pull') as answered
    from calls
    where outcome = 'completed'
    group by model
    union all
    select model, null, max(ts_end)
    from requests
    where outcome = 'completed' and is_inference and model in (select model from counts)
    group by model
),
model_load_ends as (
    select model, max(ts_end) as loaded
    from model_loads
    where outcome = 'loaded' and model is not null
    group by model
)
select
    n.code, n.action, n.registry, n.model, n.incidents as incident_count,
    cast(n.errors as bigint) as error_count,
    n.first_ts, n.last_ts,
    case
        when exists (select 1 from recoveries as g where g.model = n.model and g.pulled > n.last_ts)
            then 'pulled'
        when exists (select 1 from model_load_ends as l where l.model = n.model and l.loaded > n.last_ts)
            then 'loaded'
        when exists (select 1 from recoveries as g where g.model = n.model and g.answered > n.last_ts)
            then 'answered'
        when n.worst = 2 and n.code in (select code from causes where category = 'registry')
            then 'retried'
    end as recovered,
    severity_name(n.worst) as severity,
    n.title,
    shortened(n.message) as message,
    n.remedy
from counts as n;
