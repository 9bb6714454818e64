-- Access lines of gateways beside those of Ollama, which line of Ollama is the same request, and what gateways ask for.
alter table requests add column surface varchar default 'ollama';
alter table requests add column upstream varchar;
alter table requests add column upstream_request_id varchar;
alter table requests add column answered_by bigint;
alter table requests add column explained_by bigint;
alter table requests add column asked_by bigint;
comment on table requests is
    'One row per access line of Ollama, or of a gateway about one of its routes; count one surface at a time';
comment on column requests.surface is
    'ollama, or gateway: who wrote the line; a request that both wrote down has two rows';
comment on column requests.upstream is 'Address a gateway handed the request to, where its log names it';
comment on column requests.upstream_request_id is 'Name a gateway gave the request, where its log names it';
comment on column requests.answered_by is
    'Access line of Ollama of the same request, on the line of a gateway; NULL when none was found';
comment on column requests.explained_by is 'Event in which the gateway says why it ended so, on the line of a gateway';
comment on column requests.asked_by is
    'Call of a client that this line of a gateway answered, where Ollama has no line of it; else see calls.request_id';
comment on column requests.ts_start is 'End minus duration, UTC; NULL where the line of a gateway has no duration';
comment on column requests.path is 'Path without query; of a gateway as the client sent it';
comment on column requests.client_address is 'Client address as Ollama or the gateway saw it';
comment on column requests.outcome is
    'completed, failed, failed_before_first_byte, failed_mid_stream (a gateway tells it), cancelled_by_client, '
    'not_observable';

alter table errors add column ratelimit_limit bigint;
alter table errors add column ratelimit_remaining bigint;
alter table errors add column ratelimit_reset varchar;
alter table errors add column maintenance_until varchar;
alter table errors add column upstream_request_id varchar;
comment on column errors.ratelimit_limit is 'Requests or tokens allowed in a period, as the answer says';
comment on column errors.ratelimit_remaining is 'How many of them are left';
comment on column errors.ratelimit_reset is 'When the period ends, as it was sent: seconds, a time or a duration';
comment on column errors.maintenance_until is 'End of a maintenance that was announced, as it was sent';
comment on column errors.upstream_request_id is 'Name the server or gateway gave the request';
comment on column errors.surface is 'server, access, client or gateway: where the text was seen';
comment on column incidents.request_count is
    'Requests it took with it; one that a gateway and Ollama wrote down counts once';
comment on column incidents.sides is
    'server, client, gateway or both (server or gateway, and client): where it was seen';
comment on column events.message is
    'Message without stamps; an access line of Ollama as STATUS METHOD PATH, of a gateway as METHOD PATH STATUS '
    '(its numbers stand in requests)';
comment on column events.ts_source is
    'Which clock: slog, gin+offset, go-log, json, client, gateway, journal, docker, stamp, dump, inherited, file, none';

create or replace view findings as
select e.* exclude (remedy), c.title, coalesce(e.remedy, c.remedy) as remedy, c.typical_status, c.see
from errors as e
left join causes as c on c.code = e.code;
comment on view findings is 'errors joined with title and remedy of their cause';
