-- A version as a list of numbers, so that 0.9 sorts before 0.10 and a release candidate before its release; NULL for
-- any other text.
create or replace macro version_key(version) as
    case
        when regexp_matches(version, '^v?\d+\.\d')
            then [
                coalesce(try_cast(regexp_extract(version, '^v?(\d+)', 1) as bigint), 0),
                coalesce(try_cast(regexp_extract(version, '^v?\d+\.(\d+)', 1) as bigint), 0),
                coalesce(try_cast(regexp_extract(version, '^v?\d+\.\d+\.(\d+)', 1) as bigint), 0),
                cast(not regexp_matches(version, '-rc\d') as bigint),
                coalesce(try_cast(regexp_extract(version, '-rc(\d+)', 1) as bigint), 0)
            ]
    end;
