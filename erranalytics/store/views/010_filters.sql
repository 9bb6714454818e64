-- Filters of the reports. NULL means no limit, and an unknown value is outside every limit.

create or replace macro in_period(ts, period_start, period_end) as
    coalesce(ts >= period_start, period_start is null) and coalesce(ts < period_end, period_end is null);

create or replace macro matches(value, wanted) as
    coalesce(value = wanted, wanted is null);

create or replace macro one_matches(list, wanted) as
    (wanted is null or wanted = any(list));
