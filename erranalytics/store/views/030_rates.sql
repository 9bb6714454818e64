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
