-- Bounds of the 95 % Wilson interval for bad out of n; NULL where n is 0.
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

-- Severities as numbers, so that the worst of several is the maximum.
create or replace macro severity_rank(severity) as
    case severity when 'critical' then 4 when 'error' then 3 when 'warning' then 2 else 1 end;
create or replace macro severity_name(rank) as
    case rank when 4 then 'critical' when 3 then 'error' when 2 then 'warning' when 1 then 'info' end;
