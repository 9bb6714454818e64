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
