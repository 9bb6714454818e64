-- The rows of the report context-truncation: which prompts were cut or refused because the context was too short, and
-- how long must it be?
create or replace macro report_context_truncation(period_start, period_end, of_host, of_model) as table
with context_errors as (
    select
        e.event_id, e.incident_id, e.session_id, e.ts, e.host, e.num_ctx, e.prompt_tokens, e.model,
        2 * e.num_ctx - try_cast(  -- this server logs the half that it keeps
            regexp_extract(e.message, 'source=llama_server[.]go.* keep=(\d+)', 1) as bigint
        ) as whole,
        case e.cause
            when 'prompt_truncated' then 'cut silently'
            when 'context_length_exceeded' then 'refused'
            else 'stopped'
        end as outcome,
        row_number() over (
            partition by e.incident_id, e.cause
            order by e.prompt_tokens is null, e.num_ctx is null, e.event_id
        ) as place
    from errors as e
    where e.cause in (
        'prompt_truncated', 'context_length_exceeded', 'context_length_exceeded_midstream',
        'context_shift_failed', 'kv_cache_full'
    )
      and in_period(e.ts, period_start, period_end)
      and matches(e.host, of_host)
),
-- several lines report one refusal, one line with numbers reports a cut; each of the latter is a prompt
prompts as (
    select l.*, coalesce(l.model, g.model) as asked
    from context_errors as l
    left join incident_groups as g on g.incident_id = l.incident_id
    where l.place = 1 or (l.outcome = 'cut silently' and l.prompt_tokens is not null)
),
candidate_loads as (
    select
        p.event_id,
        coalesce(m.model, f.model) as model,
        coalesce(m.title, m.blob) as file,
        m.num_ctx,
        row_number() over (
            partition by p.event_id
            order by
                coalesce(p.asked = coalesce(m.model, f.model), false) desc,
                coalesce(m.num_ctx in (p.num_ctx, p.whole, p.whole - 1), false) desc,
                m.load_seq desc
        ) as place
    from prompts as p
    inner join model_loads as m
        on m.session_id = p.session_id and m.first_event_id < p.event_id and m.outcome = 'loaded'
    left join names_of_files as f on f.blob = m.blob
),
named_prompts as (
    select
        p.*,
        coalesce(p.asked, l.model, l.file, 'unknown') as name,
        case
            when l.num_ctx in (p.whole, p.whole - 1) then l.num_ctx
            else coalesce(p.num_ctx, case when p.asked = l.model then l.num_ctx end)
        end as context
    from prompts as p
    left join candidate_loads as l on l.event_id = p.event_id and l.place = 1
),
limits as (
    select session_id, num_ctx_train, min(event_id) as event_id
    from errors
    where cause = 'num_ctx_clamped' and num_ctx_train is not null
    group by session_id, num_ctx_train
),
counts as (
    select
        t.name, t.context, t.outcome,
        count(*) as prompts,
        cast(round(median(t.prompt_tokens)) as bigint) as middle,
        max(t.prompt_tokens) as longest,
        cast(ceil(max(t.prompt_tokens) / 1024.0) * 1024 + 1024 as bigint) as needed,
        max(x.num_ctx_train) as trained,
        min(t.ts) as first_ts,
        max(t.ts) as last_ts
    from named_prompts as t
    left join limits as x
        on x.session_id = t.session_id and x.num_ctx_train = t.context and x.event_id < t.event_id
    where matches(t.name, of_model)
    group by 1, 2, 3
)
select
    name as model, context as num_ctx, outcome, prompts as prompt_count, middle as median_tokens,
    longest as max_tokens, needed as needed_num_ctx, trained as num_ctx_train, first_ts, last_ts,
    case
        when trained is not null
            then 'The model was trained with '
                || trained
                || ' tokens: send less, or take a model with a longer context'
        when needed is not null
            then 'Set num_ctx to '
                || needed
                || ' (options.num_ctx, PARAMETER num_ctx or OLLAMA_CONTEXT_LENGTH), if the memory allows it, or '
                   'send less'
        else 'Raise num_ctx or send less; the log does not have the length of the prompt'
    end as remedy
from counts;
