-- Lines of applications have a time of their own.
comment on column events.ts_source is
    'Which clock: slog, gin+offset, go-log, json, client, journal, docker, stamp, dump, inherited, file, none';
