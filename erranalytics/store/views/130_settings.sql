-- Of OLLAMA_ORIGINS only the added origins are shown. The default folder of models is that of a user or the service.
create or replace view settings as
with printed_settings as (
    select
        s.session_id, u.entry.key as name, u.entry.value as printed,
        list_transform(
            regexp_extract_all(s.version, '\d+')[1:3],
            lambda part: cast(part as integer)
        ) as version
    from server_sessions as s, unnest(map_entries(s.config)) as u (entry)
),
setting_values as (
    select
        session_id, name,
        nullif(version, [0, 0, 0]) as version,
        case
            when name = 'OLLAMA_ORIGINS'
                then trim(
                    regexp_replace(
                        regexp_replace(printed, '^\[', ''),
                        '(?:^| )https?://localhost(?: .*)?$',
                        ''
                    )
                )
            else printed
        end as value
    from printed_settings
)
select
    r.session_id, r.name, r.value,
    coalesce(
        bool_or(d.value = r.value),
        not bool_or(d.name is not null)
            and (
                r.value in ('', '0', 'false')
                or (
                    r.name = 'OLLAMA_MODELS'
                    and regexp_matches(r.value, '[/\\]\.ollama[/\\]+models$')
                )
            )
    ) as is_default
from setting_values as r
left join setting_defaults as d
    on d.name = r.name
        and (
            r.version is null
            or (
                (d.since_version is null or d.since_version <= r.version)
                and (d.until_version is null or d.until_version >= r.version)
            )
        )
group by r.session_id, r.name, r.value;
comment on view settings is 'One row per setting that a run of the server printed at its start';
comment on column settings.value is 'Value as the server printed it; of OLLAMA_ORIGINS only the added origins';
comment on column settings.is_default is
    'Whether it is the default of this version; for a build without a version, of any version';
