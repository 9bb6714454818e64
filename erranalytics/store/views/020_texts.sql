create or replace macro sized(bytes) as
    case
        when bytes >= 1073741824 then printf('%.1f GiB', bytes / 1073741824.0)
        when bytes >= 1048576 then printf('%.1f MiB', bytes / 1048576.0)
        else printf('%.0f KiB', bytes / 1024.0)
    end;

create or replace macro duration_text(us) as
    case
        when us >= 7200000000 then printf('%dh%02dm', us // 3600000000, us % 3600000000 // 60000000)
        when us >= 120000000 then printf('%dm%02ds', us // 60000000, us % 60000000 // 1000000)
        else printf('%.1f s', us / 1000000.0)
    end;

create or replace macro size_bytes(size_text) as
    cast(
        try_cast(regexp_extract(size_text, '([\d.]+)', 1) as double) * case regexp_extract(size_text, '([KMGT])', 1)
            when 'K' then 1024
            when 'M' then 1048576
            when 'G' then 1073741824
            when 'T' then 1099511627776
            else 1
        end as bigint
    );

-- A duration of Go as seconds, as in OLLAMA_KEEP_ALIVE: 5m0s, 24h, plain seconds; a negative one means for ever
-- (envconfig/config.go@v0.24.0).
create or replace macro go_seconds(duration) as
    case
        when duration is null then null
        when duration like '-%' then 1e12
        when regexp_full_match(duration, '[\d.]+') then cast(duration as double)
        else coalesce(try_cast(nullif(regexp_extract(duration, '([\d.]+)h', 1), '') as double), 0) * 3600 + coalesce(
            try_cast(nullif(regexp_extract(duration, '([\d.]+)m(?:[^s]|$)', 1), '') as double),
            0
        ) * 60 + coalesce(try_cast(nullif(regexp_extract(duration, '([\d.]+)s', 1), '') as double), 0)
    end;

-- A message cut to at most 200 characters, so that it fits a table.
create or replace macro shortened(message) as
    case when char_length(message) > 200 then substring(message from 1 for 199) || '…' else message end;
