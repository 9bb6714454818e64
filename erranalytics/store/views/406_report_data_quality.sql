-- The rows of the report data-quality: was every line of the input read, and how well?
create or replace macro report_data_quality(of_host) as table
with chosen_sources as (
    select
        coalesce(s.source_id, 0) as source_id,
        coalesce(s.uri, 'all') as uri,
        cast(coalesce(sum(l.line_count), 0) as bigint) as line_count
    from sources as s
    inner join loads as l using (source_id)
    where matches(s.host, of_host)
    group by grouping sets ((s.source_id, s.uri), ())
),
-- every part that the lines of a source were sorted into
parts as (
    select
        source_id, 'event' as kind, format as name, ts_source as clock,
        count(*) as records,
        sum(line_count) as lines
    from events
    group by source_id, format, ts_source
    union all
    select source_id, 'reject', reason, null, 0, sum(line_count)
    from rejects
    group by source_id, reason
    union all
    select source_id, 'duplicate', null, null, 0, sum(duplicate_count)
    from loads
    group by source_id
),
-- each part twice: for its source and for all sources
shown_parts as (
    select c.source_id as shown_id, p.*
    from parts as p
    inner join chosen_sources as c on c.source_id in (p.source_id, 0)
    where p.source_id in (select source_id from chosen_sources)
),
-- "blank 12, binary 3" and "slog 61.2 %, journal 38.8 %"
texts as (
    select
        shown_id,
        string_agg(
            name || ' ' || lines,
            ', ' order by lines desc,
            name
        ) filter (where kind = 'reject') as rejects,
        string_agg(
            name || ' ' || percent || ' %',
            ', ' order by records desc,
            name
        ) filter (where kind = 'event') as clocks
    from (
        select
            shown_id, kind,
            coalesce(clock, name) as name,
            sum(lines) as lines,
            sum(records) as records,
            round(
                100.0 * sum(records) / nullif(
                    sum(sum(records)) over (partition by shown_id, kind),
                    0
                ),
                1
            ) as percent
        from shown_parts
        group by shown_id, kind, coalesce(clock, name)
    ) as t
    group by shown_id
),
sums as (
    select
        c.source_id, c.uri, c.line_count,
        coalesce(sum(p.records), 0) as events,
        sum(case when p.kind = 'event' then p.lines else 0 end) as event_lines,
        sum(case when p.kind = 'duplicate' then p.lines else 0 end) as duplicates,
        sum(case when p.kind = 'reject' then p.lines else 0 end) as rejects,
        sum(case when p.name = 'unknown' then p.records else 0 end) as unknowns,
        sum(case when p.name = 'unknown' then p.lines else 0 end) as unknown_lines,
        sum(
            case when p.name in ('foreign', 'powershell-note') then p.records else 0 end
        ) as foreigns,
        sum(
            case when p.name in ('foreign', 'powershell-note') then p.lines else 0 end
        ) as foreign_lines
    from chosen_sources as c
    left join shown_parts as p on p.shown_id = c.source_id
    group by c.source_id, c.uri, c.line_count
)
select
    s.uri as source,
    case
        when s.line_count = s.event_lines + s.duplicates + s.rejects then 'yes'
        else 'no: ' || (s.line_count - s.event_lines - s.duplicates - s.rejects) || ' lines'
    end as accounted,
    s.line_count,
    cast(s.events as bigint) as event_count,
    cast(s.event_lines - s.events as bigint) as folded_count,
    cast(s.duplicates as bigint) as duplicate_count,
    cast(s.rejects as bigint) as reject_count,
    x.rejects as reject_reasons,
    cast(s.unknowns as bigint) as unknown_count,
    cast(s.foreigns as bigint) as foreign_count,
    cast(
        s.event_lines - s.foreign_lines - s.unknown_lines as double
    ) / nullif(s.event_lines - s.foreign_lines, 0) as known_share,
    x.clocks,
    nullif(s.source_id, 0) as source_id
from sums as s
left join texts as x on x.shown_id = s.source_id;
