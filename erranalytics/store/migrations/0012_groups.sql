-- What failures and requests are counted by: model, route, client, version, steps in time. And versions and rates
-- that can be
-- compared.
-- A version as numbers, so that 0.9 stands before 0.10 and a release candidate before its release; NULL for what is
-- none.
create or replace macro version_key(told) as
    case
        when regexp_matches(told, '^v?\d+\.\d')
            then [
                coalesce(try_cast(regexp_extract(told, '^v?(\d+)', 1) as bigint), 0),
                coalesce(try_cast(regexp_extract(told, '^v?\d+\.(\d+)', 1) as bigint), 0),
                coalesce(try_cast(regexp_extract(told, '^v?\d+\.\d+\.(\d+)', 1) as bigint), 0),
                cast(not regexp_matches(told, '-rc\d') as bigint),
                coalesce(try_cast(regexp_extract(told, '-rc(\d+)', 1) as bigint), 0)
            ]
    end;

-- Ends of the 95 % Wilson interval of bad of n; NULL without any.
create or replace macro wilson_low(bad, n) as
    case
        when n > 0
            then greatest(
                0,
                (
                    bad / cast(n as double) + 3.841458820694124 / (2 * n) - sqrt(
                        3.841458820694124 * (
                            bad / cast(n as double) * (
                                1 - bad / cast(n as double)
                            ) / n + 3.841458820694124 / (4 * cast(n as double) * n)
                        )
                    )
                ) / (1 + 3.841458820694124 / n)
            )
    end;
create or replace macro wilson_high(bad, n) as
    case
        when n > 0
            then least(
                1,
                (
                    bad / cast(n as double) + 3.841458820694124 / (2 * n) + sqrt(
                        3.841458820694124 * (
                            bad / cast(n as double) * (
                                1 - bad / cast(n as double)
                            ) / n + 3.841458820694124 / (4 * cast(n as double) * n)
                        )
                    )
                ) / (1 + 3.841458820694124 / n)
            )
    end;

-- The name a model file is asked for by, where some run tells it and all agree.
create or replace view names_of_files as
select blob, min(model) as model
from model_loads
where blob is not null and model is not null
group by blob
having count(distinct model) = 1;
comment on view names_of_files is 'Model files whose name the log tells, once for all runs';
comment on column names_of_files.blob is 'First digits of the digest of the file';
comment on column names_of_files.model is 'The one name it is asked for by';

create or replace view incident_groups as
with roots as (
    select
        e.incident_id,
        arg_min(e.model, e.error_id) filter (where e.model is not null) as model,
        arg_min(e.endpoint, e.error_id) filter (where e.endpoint is not null) as endpoint
    from errors as e
    inner join incidents as i on i.incident_id = e.incident_id and i.root_event_id = e.event_id
    group by e.incident_id
),
hits as (
    select incident_id, event_id, model, endpoint, client_address, cast(null as varchar) as client
    from requests
    where incident_id is not null and surface = 'ollama'
    union all
    select incident_id, event_id, model, endpoint, cast(null as varchar) as client_address, client
    from calls
    where incident_id is not null
),
first_hits as (
    select
        incident_id,
        arg_min(model, event_id) filter (where model is not null) as model,
        arg_min(endpoint, event_id) filter (where endpoint is not null) as endpoint,
        arg_min(client, event_id) filter (where client is not null) as client,
        arg_min(client_address, event_id) filter (
            where client_address is not null
        ) as client_address
    from hits
    group by incident_id
)
select
    i.incident_id, i.first_ts, i.last_ts, i.code, i.severity, i.models, s.host, s.version,
    coalesce(
        r.model, i.models[1], h.model,
        case when c.phase = 'load' then coalesce(l.model, f.model, l.blob) end
    ) as model,
    coalesce(r.endpoint, h.endpoint) as endpoint,
    h.client, h.client_address
from incidents as i
asof left join model_loads as l
    on l.session_id = i.session_id and l.first_event_id <= i.root_event_id
left join names_of_files as f on f.blob = l.blob
left join roots as r on r.incident_id = i.incident_id
left join first_hits as h on h.incident_id = i.incident_id
left join causes as c on c.code = i.code
left join server_sessions as s on s.session_id = i.session_id;
comment on view incident_groups is
    'One row per incident with the one model, route, client and version it is counted under';
comment on column incident_groups.models is 'All models its records name, sorted';
comment on column incident_groups.model is
    'Model its root names, else the first its records or requests name, else, of a failed load, the name or digest '
    'of its file; NULL when the log does not tell';
comment on column incident_groups.endpoint is
    'Route its root names, else that of the first request it hit; NULL when it hit none';
comment on column incident_groups.client is 'Client of the first call it hit; NULL when no client recorded it';
comment on column incident_groups.client_address is 'Address of the first request it hit';
comment on column incident_groups.version is 'Version of Ollama, from the run it began in';

create or replace view asked as
select
    r.ts_end, r.session_id, s.host, s.version,
    coalesce(r.model, c.model) as model,
    r.endpoint, r.client_address, c.client,
    coalesce(r.code, c.code) as code,
    case
        when r.outcome in ('not_observable', 'completed') and c.outcome <> 'not_observable'
            then c.outcome
        else r.outcome
    end as outcome,
    case when c.call_id is null then 'server' else 'both' end as seen_by
from requests as r
left join calls as c on c.request_id = r.request_id
left join server_sessions as s on s.session_id = r.session_id
where r.is_inference and r.surface = 'ollama'
union all by name
select
    ts_end,
    cast(null as integer) as session_id,
    host,
    cast(null as varchar) as version,
    model, endpoint,
    cast(null as varchar) as client_address,
    client, code, outcome, 'client' as seen_by
from calls
where is_inference and request_id is null;
comment on view asked is
    'One row per inference request: access lines of Ollama, and calls that have none; what server and client saw '
    'counts once';
comment on column asked.model is 'Model, as the server or the client names it';
comment on column asked.version is 'Version of Ollama that answered; NULL when its start is not in the log';
comment on column asked.outcome is
    'What the access line or the client proves: completed, failed, failed_before_first_byte, failed_mid_stream, '
    'truncated, cancelled_by_client, not_observable';
comment on column asked.seen_by is 'server, client or both';

-- The logs of a period and a host.
create or replace macro logs_of(from_ts, to_ts, of_host) as table
select
    count(*) as source_count,
    min(first_ts) as first_ts,
    max(last_ts) as last_ts,
    array_agg(distinct host order by host) filter (where host is not null) as hosts
from sources
where coalesce(host = of_host, of_host is null)
  and coalesce(last_ts >= from_ts, from_ts is null)
  and coalesce(first_ts < to_ts, to_ts is null);

-- The steps of a chart: of_width, else as wide as the period needs. Zones differ by quarters of an hour, and telling
-- local
-- time is dear: it is done once for a quarter (grain, seconds).
create or replace macro chart_clock(of_width, of_zone, from_ts, to_ts, of_host) as table
with span as (
    select min(first_ts) as first_ts, max(last_ts) as last_ts
    from sources
    where coalesce(host = of_host, true)
),
period as (
    select
        greatest(first_ts, from_ts) as first_ts,
        least(last_ts, cast(to_ts as timestamptz) - interval '1' microsecond) as last_ts
    from span
)
select
    p.first_ts, p.last_ts, w.width,
    case when w.width in ('minute', 'hour') then 'UTC' else of_zone end as zone,
    w.step,
    case w.width when 'minute' then 60 else 900 end as grain
from period as p
cross join (
    values ('minute', interval '1' minute, interval '2' hour),
    ('hour', interval '1' hour, interval '4' day), ('day', interval '1' day, interval '120' day),
    ('week', interval '7' day, interval '900' day),
    ('month', interval '1' month, interval '4000' day),
    ('year', interval '1' year, interval '100000' day)
) as w (width, step, up_to)
where coalesce(w.width = of_width, of_width is null and p.last_ts - p.first_ts < w.up_to)
order by w.up_to
limit 1;

-- Failures and requests by model, endpoint, client or version, as the reports errors-by-… tell them: kind is one of
-- these
-- words, the others are the parameters of the report; NULL means no limit.
create or replace macro counted_by(
    kind, from_ts, to_ts, of_host, of_model, of_endpoint, of_code, least_requests
) as table
with failures as (
    select
        coalesce(
            case kind
                when 'model' then i.model
                when 'endpoint' then i.endpoint
                when 'client' then coalesce(i.client, i.client_address)
                else i.version
            end,
            'unknown'
        ) as name,
        case
            when i.client is not null then 'client'
            when i.client_address is not null then 'server'
        end as seen_by,
        i.code, i.first_ts, i.last_ts,
        case i.severity
            when 'critical' then 4
            when 'error' then 3
            when 'warning' then 2
            else 1
        end as worst
    from incident_groups as i
    where coalesce(i.first_ts >= from_ts, from_ts is null)
      and coalesce(i.first_ts < to_ts, to_ts is null)
      and coalesce(i.host = of_host, of_host is null)
      and (of_model is null or of_model = any(i.models))
      and coalesce(i.code = of_code, of_code is null)
      and (
          of_endpoint is null
          or i.incident_id in (
              select r.incident_id
              from requests as r
              where r.endpoint = of_endpoint
          )
      )
),
codes as (
    select
        name, code,
        max(seen_by) as seen_by,
        count(*) as incidents,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        max(worst) as worst,
        row_number() over (partition by name order by count(*) desc, max(worst) desc, code) as place
    from failures
    group by name, code
),
failing as (
    select
        name,
        max(seen_by) as seen_by,
        sum(incidents) as incidents,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        max(worst) as worst,
        max(code) filter (where place = 1) as top_code,
        max(incidents) filter (where place = 1) as top_count
    from codes
    group by name
),
requested as (
    select
        coalesce(
            case kind
                when 'model' then a.model
                when 'endpoint' then a.endpoint
                when 'client' then coalesce(a.client, a.client_address)
                else a.version
            end,
            'unknown'
        ) as name,
        max(
            case
                when a.client is not null then 'client'
                when a.client_address is not null then 'server'
            end
        ) as seen_by,
        count(*) as requests,
        count(*) filter (
            where (a.outcome like 'failed%' or a.outcome = 'truncated')
            and coalesce(a.code = of_code, of_code is null)
        ) as failed,
        count(*) filter (where a.outcome = 'not_observable') as unseen,
        count(*) filter (where a.outcome = 'cancelled_by_client') as cancelled
    from asked as a
    where coalesce(a.ts_end >= from_ts, from_ts is null)
      and coalesce(a.ts_end < to_ts, to_ts is null)
      and coalesce(a.host = of_host, of_host is null)
      and coalesce(a.model = of_model, of_model is null)
      and coalesce(a.endpoint = of_endpoint, of_endpoint is null)
    group by 1
),
joined as (
    select
        coalesce(f.name, r.name) as name,
        coalesce(f.seen_by, r.seen_by) as seen_by,
        cast(coalesce(f.incidents, 0) as bigint) as incidents,
        coalesce(r.failed, 0) as failed,
        coalesce(r.requests, 0) as requests,
        coalesce(r.unseen, 0) as unseen,
        coalesce(r.cancelled, 0) as cancelled,
        case when r.requests >= greatest(least_requests, 1) then r.requests end as n,
        f.top_code,
        coalesce(f.top_count, 0) as top_count,
        f.first_ts, f.last_ts, f.worst
    from failing as f
    full join requested as r on r.name = f.name
)
select
    j.name, j.seen_by, j.incidents as incident_count, j.failed as failed_count,
    j.requests as request_count,
    j.failed / cast(nullif(j.n, 0) as double) as failure_rate,
    wilson_low(j.failed, j.n) as rate_low,
    wilson_high(j.failed, j.n) as rate_high,
    j.unseen as not_observable_count, j.cancelled as cancelled_count, j.top_code, j.top_count,
    j.first_ts, j.last_ts,
    case j.worst
        when 4 then 'critical'
        when 3 then 'error'
        when 2 then 'warning'
        when 1 then 'info'
    end as severity,
    c.title,
    split_part(c.remedy, '. ', 1) as remedy,
    case
        when j.requests = 0 then 'no inference request of it is in the log'
        when j.n is null then 'too few requests to judge'
    end as note
from joined as j
left join causes as c on c.code = j.top_code;

-- What looks like a problem and no rule knows.
create or replace view unknown_problems as
-- words of trouble that are no part of a name such as error.log, and what they are when nothing went wrong
with worded as (
    select
        template_id,
        regexp_matches(
            text,
            '(^|[\s"''`(\[{<:;,=|])(fail(ed|ure)? (to|with|on|in|at|while|because|loading)\b|failed:|error:|error '
            '(while|when|during|in|on|from|loading|reading|writing|opening)\b|fatal( error)?:|panic:|(can ?not'
            '|can''t|could not|couldn''t) (be|find|open|read|write|load|connect|create|allocate|parse|decode|get|set'
            '|start|bind)\b|unable to|timed out|out of memory|permission denied|access denied|connection (refused'
            '|reset)|segmentation fault|segfault|core dumped|traceback \(|no space left)'
        ) as is_clear
    from (
        select
            template_id,
            regexp_replace(
                lower(template),
                '\b(no|without( any)?|ignor(e|ing)|if|on|zero) (errors?|failures?|exceptions?)\b|\b(above|following'
                '|another) exception\b|\berrors? (rate|log)s?\b',
                '', 'g'
            ) as text
        from templates
    ) as t
    where regexp_matches(
        text,
        '(^|[\s"''`(\[{<:;,=|!])(errors?|fail(s|ed|ure|ures|ing)?|fatal|panic(ked)?|exceptions?|can ?not|can''t'
        '|could not|couldn''t|unable|invalid|refused|denied|timed out|timeout|killed|abort(s|ed|ing)?|crash(ed|es)?'
        '|corrupt(ed|ion)?|out of memory|no space left|seg(mentation )?fault|core dumped|traceback|not permitted'
        '|insufficient|unauthorized|forbidden)($|[\s"''`)\]}>:;,=|!?]|\.($|\s))'
    )
)
-- The words decide where no level is written, and with a level that an application chose; below a warning only clear
-- phrases do.
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e
inner join worded as w on w.template_id = e.template_id
where e.code is null
  and e.format not in ('foreign', 'powershell-note')
  and (e.format <> 'nginx-error' or e.component is not null)
  and (
      w.is_clear or coalesce(e.level, 'ERROR') in ('WARN', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL')
  )
union all
select e.event_id, e.template_id, e.format, e.level, e.ts, e.host, e.session_id
from events as e
where e.level in ('WARN', 'WARNING', 'ERROR', 'FATAL')
  and e.code is null
  and e.template_id is not null
  and e.template_id not in (select template_id from worded)
  and e.format not in ('foreign', 'powershell-note', 'client-text', 'client-note')
  and (e.format <> 'nginx-error' or e.component is not null);
comment on view unknown_problems is
    'One row per record that looks like a problem by its level or its words and that no rule knows';
