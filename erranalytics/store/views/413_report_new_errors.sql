-- The rows of the report new-errors: what fails that did not fail before that day, or before that version?
create or replace macro report_new_errors(
    period_start, period_end, of_host, of_zone, first_version_of_period, of_show
) as table
-- without a date or version: the last seven days of the log
with cutoff as (
    select
        case
            when first_version_of_period is null
                then coalesce(period_start, max(last_ts) - interval '7' day)
            else period_start
        end as since,
        case
            when version_key(first_version_of_period) is null
                and first_version_of_period is not null
                then error('since_version is no version of Ollama, such as 0.32.0')
            else version_key(first_version_of_period)
        end as key,
        min(first_ts) as begun,
        exists (
            select 1
            from server_sessions
            where version_key(version) < version_key(first_version_of_period)
        ) as is_preceded
    from sources
    where matches(host, of_host)
),
runs_of as (select session_id, version, version_key(version) as key from server_sessions),
sightings as (
    select
        'code' as kind, e.code as name, e.incident_id as number, e.ts, e.session_id, e.host,
        severity_rank(e.severity) as worst
    from errors as e
    union all
    select
        'template',
        cast(e.template_id as varchar),
        e.event_id, e.ts, e.session_id, e.host,
        cast(null as integer)
    from unknown_problems as e
),
-- NULL where the time or the version is not known
placed_sightings as (
    select
        n.*, s.version, s.key,
        (k.since is null or n.ts >= k.since)
            and (first_version_of_period is null or s.key >= k.key) as is_after
    from sightings as n
    cross join cutoff as k
    left join runs_of as s on s.session_id = n.session_id
    where coalesce(n.ts < period_end, period_end is null) and matches(n.host, of_host)
),
counts as (
    select
        kind, name,
        count(distinct number) filter (where is_after) as afters,
        count(distinct number) filter (where not is_after) as befores,
        count(distinct number) filter (where is_after is null) as untold,
        min(ts) filter (where is_after) as first_ts,
        max(ts) as last_ts,
        arg_min(version, key) filter (where is_after and key is not null) as first_version,
        max(worst) filter (where is_after) as worst
    from placed_sightings
    group by kind, name
)
select
    t.kind,
    coalesce(p.fingerprint, t.name) as name,
    t.afters as after_count, t.befores as before_count, t.untold as untold_count, t.first_ts,
    t.last_ts, t.first_version,
    severity_name(t.worst) as severity,
    coalesce(c.title, p.template) as title,
    split_part(c.remedy, '. ', 1) as remedy,
    case
        when k.begun >= k.since or not (k.is_preceded or first_version_of_period is null)
            then 'the log begins only then: nothing to compare with'
        when t.untold > 0 then 'may be older: some sightings have no time or version'
        when period_start is null and first_version_of_period is null
            then 'since '
                || strftime(k.since at time zone of_zone, '%Y-%m-%d %H:%M')
                || ', seven days before the end of the log'
    end as note
from counts as t
cross join cutoff as k
left join causes as c on t.kind = 'code' and c.code = t.name
left join templates as p on t.kind = 'template' and cast(p.template_id as varchar) = t.name
where t.afters > 0 and (t.befores = 0 or of_show = 'all');
