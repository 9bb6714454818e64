-- The rows of the report slow-requests: which requests took longest, and why, where the log shows it?
create or replace macro report_slow_requests(
    period_start, period_end, of_host, of_model, of_endpoint, of_code, of_routes, at_most
) as table
with slowest as (
    select *
    from measures
    where is_nearest
      and duration_us is not null
      and (is_inference or of_routes = 'all')
      and in_period(ts_end, period_start, period_end)
      and matches(host, of_host)
      and matches(model, of_model)
      and matches(endpoint, of_endpoint)
      and matches(code, of_code)
    order by duration_us desc, event_id desc
    limit at_most
),
-- inside the request; the times of access lines are cut to whole seconds
inner_loads as (
    select
        s.event_id,
        coalesce(l.model, l.title, l.blob, 'a model') as model,
        l.outcome, l.duration_us, l.load_seq,
        case
            when s.model in (l.model, l.blob) then true
            when s.model is not null and l.model is not null then false
        end as is_own
    from slowest as s
    inner join model_loads as l
        on l.session_id = s.session_id
            and l.ts_start between s.ts_start and s.ts_end + interval '1' second
            and l.last_event_id < s.event_id
            and l.duration_us <= s.duration_us
),
load_waits as (
    select
        event_id,
        cast(sum(duration_us) as bigint) as load_us,
        string_agg(
            case
                when is_own = false then 'meanwhile a load of another model: '
                when outcome = 'loaded' then 'a load: '
                else 'a load that came to nothing: '
            end
                || model
                || ' '
                || duration_text(duration_us),
            ', ' order by load_seq
        ) as texts
    from inner_loads
    group by event_id
),
-- its model where that is certain: by name, because its load is inside, or because the run loaded only one file
runners as (
    select
        s.event_id,
        max_by(
            {
                'num_parallel': m.num_parallel,
                'layers_offloaded': m.layers_offloaded,
                'layers_total': m.layers_total
            },
            m.load_seq
        ) as l
    from slowest as s
    inner join model_loads as m
        on m.session_id = s.session_id
            and m.outcome = 'loaded'
            and m.last_event_id < s.event_id
            and (
                s.model in (m.model, m.blob)
                or m.load_seq in (
                    select i.load_seq
                    from inner_loads as i
                    where i.event_id = s.event_id and i.is_own is null
                )
                or s.session_id in (
                    select session_id
                    from model_loads
                    where outcome = 'loaded'
                    group by session_id
                    having count(distinct coalesce(blob, model, title)) = 1
                )
            )
    group by s.event_id
),
neighbours as (
    select s.event_id, count(*) as n
    from slowest as s
    inner join requests as r
        on r.session_id = s.session_id
            and r.ts_end between s.ts_start and s.ts_start + interval '1' day
            and r.ts_start < s.ts_start
            and r.event_id <> s.event_id
            and r.is_inference
            and r.surface = 'ollama'
    group by s.event_id
),
notices as (
    select
        s.event_id,
        'meanwhile: '
            || string_agg(distinct rtrim(c.title, '.'), ', ' order by rtrim(c.title, '.')) as texts
    from slowest as s
    inner join events as e
        on e.session_id = s.session_id
            and e.ts between s.ts_start and s.ts_end + interval '1' second
            and e.event_id <= s.event_id
    inner join causes as c on c.code = e.code
    where c.cause in (
        'context_shift', 'prompt_truncated', 'kv_cache_full', 'eviction', 'oom_retry',
        'alloc_retry', 'vram_not_recovered', 'runner_busy', 'load_timeout', 'runner_unhealthy'
    )
      and e.code is distinct from s.code
    group by s.event_id
)
select
    s.ts_start, s.duration_us, s.endpoint, s.model, s.status, s.fate,
    nullif(
        concat_ws(
            '; ',
            rtrim(c.title, '.'),
            w.texts,
            case
                when b.n >= l.num_parallel
                    then b.n
                        || ' more on their way, its model takes '
                        || l.num_parallel
                        || ' at a time'
            end,
            n.texts,
            case
                when l.layers_offloaded = 0 then 'all layers on the CPU'
                when l.layers_offloaded < l.layers_total
                    then l.layers_total - l.layers_offloaded
                        || ' of '
                        || l.layers_total
                        || ' layers on the CPU'
            end,
            'attempt ' || nullif(s.attempt, 1) || ' of its client'
        ),
        ''
    ) as why,
    w.load_us,
    coalesce(b.n, 0) as beside_count,
    l.num_parallel,
    l.layers_offloaded || '/' || l.layers_total as layers,
    s.code, s.surface, s.host, s.session_id, s.event_id
from slowest as s
left join causes as c on c.code = s.code
left join load_waits as w on w.event_id = s.event_id
left join neighbours as b on b.event_id = s.event_id
left join notices as n on n.event_id = s.event_id
left join (select event_id, l.num_parallel, l.layers_offloaded, l.layers_total from runners) as l
    on l.event_id = s.event_id;
