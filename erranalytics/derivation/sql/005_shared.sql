-- What the steps share: how well a line names the cause, and the tables that hold what one step finds for later ones.
-- They are empty where a step is skipped.
--
-- reads: errors
-- makes: vagueness_of()
-- makes: recoveries, one row per answer, and per runner that became ready, in the stretch that is read again
-- makes: faults, one row per line of a runner, client that left or request that failed: its incident
-- makes: folded, one row per problem from `fold_from` on: its incident by the log it is in
-- makes: logged_incidents()
-- makes: load_kills, one row per line of a runner that was killed while it loaded its model
-- makes: server_incidents, one row per incident of `folded` and `faults`: what the server's log says of it
-- makes: changed_incidents, one row per incident that gained or lost a problem, or whose problems changed; some twice
-- makes: linked_members, one row per problem of a client: the incident of the request it is linked to
-- makes: gateway_lines, one row per request that a gateway failed or explained
-- makes: gateway_members, one row per problem that belongs to such a request: its incident
-- makes: gateway_ranks, one row per problem of a gateway: the request it is of, and whether it names the cause
-- makes: gateway_outcomes, one row per request whose outcome the log of a gateway decides

create or replace temp macro vagueness_of(confidence, cause, category) as case
    when category = 'unknown' then 9
    when confidence = 'guess' then 8
    -- What the service manager saw of a server that gave its reason.
    when cause in ('systemd_restart', 'model_capabilities_unknown') then 6
    when cause in ('systemd_exit', 'app_server_crash') then 5
    when cause in ('load_error', 'runner_terminated', 'runner_crashed', 'ggml_abort', 'native_abort', 'load_failed',
        'runner_error_body') then 4
    when cause like 'load_crashed%'
        or cause in ('panic', 'context_create_failed', 'runner_crashed_midstream', 'oom_predicted', 'oom_retry') then 3
    -- What the memory was for says more than which buffer it was.
    when cause in ('kv_cache_alloc_failed', 'compute_buffer_alloc_failed') then 0
    when cause = 'metal_command_failed' then 2
    when category in ('memory', 'gpu', 'model_file', 'cancelled') then 1
    else 2
end;

create or replace temp table recoveries (session_id bigint, event_id bigint, is_ready boolean);
create or replace temp table faults (event_id bigint, session_id bigint, incident_id bigint, ts timestamptz);
create or replace temp table folded (event_id bigint, incident_id bigint);
-- Without what the logs of clients and gateways add.
create or replace temp macro logged_incidents() as table
select e.event_id, coalesce(f.incident_id, e.incident_id) as incident_id
from errors as e
left join folded as f using (event_id);

create or replace temp table load_kills (event_id bigint);
create or replace temp table server_incidents (incident_id bigint, session_id bigint, root_event_id bigint,
    code varchar, first_ts timestamptz, request_count bigint);
create or replace temp table changed_incidents (incident_id bigint);
create or replace temp table linked_members (event_id bigint, incident_id bigint);
create or replace temp table gateway_lines (request_id bigint, event_id bigint, session_id bigint, status integer,
    explained_by bigint, answered_by bigint, asked_by bigint, server_incident_id bigint);
create or replace temp table gateway_members (event_id bigint, front_id bigint, incident_id bigint);
create or replace temp table gateway_ranks (event_id bigint, request_id bigint, rank integer);
create or replace temp table gateway_outcomes (request_id bigint, incident_id bigint, code varchar, is_broken boolean,
    is_left boolean);
