-- Failures and requests by model, endpoint, client or version, for the reports errors-by-…: kind is one of these
-- words, the other arguments are the parameters of the report; NULL means no limit.
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
code_counts as (
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
failure_counts as (
    select
        name,
        max(seen_by) as seen_by,
        sum(incidents) as incidents,
        min(first_ts) as first_ts,
        max(last_ts) as last_ts,
        max(worst) as worst,
        max(code) filter (where place = 1) as top_code,
        max(incidents) filter (where place = 1) as top_count
    from code_counts
    group by name
),
request_counts as (
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
groups as (
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
    from failure_counts as f
    full join request_counts as r on r.name = f.name
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
from groups as j
left join causes as c on c.code = j.top_code;
