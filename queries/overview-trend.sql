-- ---
-- name     = "overview-trend"
-- title    = "Trend and memory"
-- question = "Is it getting worse, and where does memory run out?"
-- part     = true
-- common   = ["since", "until", "host"]
-- columns  = [
--   {name = "hours", type = "double", meaning = "Length of the two stretches compared: the period and the one before; without --since the last 7 days, day or hour of the log"},
--   {name = "last_count", type = "bigint", meaning = "Failures of severity error or critical in the later one"},
--   {name = "before_count", type = "bigint", meaning = "The same in the one before; empty when the log does not reach back"},
--   {name = "trend", type = "varchar", meaning = "worse, better, or same when the difference may be chance; empty when unknown"},
--   {name = "new_codes", type = "varchar[]", meaning = "Codes of failures in the later one that the log before does not have"},
--   {name = "oom_count", type = "bigint", meaning = "Memory failures in the period, without warnings"},
--   {name = "oom_code", type = "varchar", meaning = "Most frequent of them"},
--   {name = "oom_code_count", type = "bigint", meaning = "How often"},
--   {name = "oom_title", type = "varchar", meaning = "What it is"},
--   {name = "oom_model", type = "varchar", meaning = "Model that most of the memory failures name"},
--   {name = "oom_last_ts", type = "timestamptz", meaning = "Last memory failure"},
-- ]
-- ---
with logs as (
    select min(first_ts) as first_ts, cast($since as timestamptz) as since, coalesce($until, max(last_ts) + interval '1' microsecond) as until from sources where coalesce(host = $host, true)
),
bounds as (
    select *, until - length as begun, until - length - length as before from (
        select *, case when since is not null then until - since when first_ts <= until - interval '14' day then interval '7' day
            when first_ts <= until - interval '2' day then interval '1' day when first_ts <= until - interval '2' hour then interval '1' hour end as length from logs) as l
),
failures as (
    select i.*, c.category, c.title from incidents as i left join causes as c on c.code = i.code left join server_sessions as s on s.session_id = i.session_id
    where i.severity in ('error', 'critical') and coalesce(s.host = $host, $host is null) and coalesce(i.first_ts < $until, $until is null)
),
counted as (
    select count(*) filter (where f.first_ts >= b.begun and f.first_ts < b.until) as n, case when any_value(b.first_ts) <= any_value(b.before) then count(*) filter (where f.first_ts >= b.before and f.first_ts < b.begun) end as old
    from bounds as b left join failures as f on true
),
fresh as (
    select array_agg(code order by code) as codes from (
        select f.code from failures as f cross join bounds as b group by f.code having min(f.first_ts) >= any_value(b.begun) and any_value(b.first_ts) < any_value(b.begun)) as c
),
ooms as (select *, count(*) over (partition by code) as n from failures where category = 'memory' and coalesce(first_ts >= $since, $since is null)),
top as (select * from ooms order by n desc, code limit 1),
named as (select model from (select unnest(models) as model from ooms) as m group by model order by count(*) desc, model limit 1)
select extract(epoch from b.length) / 3600 as hours, c.n as last_count, c.old as before_count,
    case when c.n - c.old > 1.959963984540054 * sqrt(c.n + c.old) then 'worse' when c.old - c.n > 1.959963984540054 * sqrt(c.n + c.old) then 'better' when c.old is not null then 'same' end as trend,
    f.codes as new_codes, (select count(*) from ooms) as oom_count, t.code as oom_code, t.n as oom_code_count, t.title as oom_title, (select model from named) as oom_model, (select max(last_ts) from ooms) as oom_last_ts
from bounds as b cross join counted as c cross join fresh as f left join top as t on true
order by b.until
