-- ---
-- name     = "client-vs-server"
-- title    = "What the server said, and what its clients got"
-- question = "Which answers did the server log as 200 that the client never got?"
-- common   = ["since", "until", "host", "model", "endpoint"]
-- coverage = ["not_observable", "undated", "crashes"]
-- columns  = [
--   {name = "server_status", type = "smallint", meaning = """Status of the access line; empty: no line was found for \
--      the call"""},
--   {name = "client_outcome", type = "varchar", meaning = "How the call ended for the client"},
--   {name = "client_status", type = "smallint", meaning = """Status the client got; empty: none came, or it broke \
--      before"""},
--   {name = "call_count", type = "bigint", meaning = "Calls"},
--   {name = "share", type = "double", unit = "share", meaning = "call_count of all calls"},
--   {name = "certain_count", type = "bigint", meaning = "Of these, linked to their line with certainty"},
--   {name = "is_contradiction", type = "boolean", meaning = """The server says 200 and the client did not get an \
--      answer"""},
--   {name = "median_us", below = true, type = "bigint", unit = "us", meaning = "Median duration the client saw"},
--   {name = "overhead_us", below = true, type = "bigint", unit = "us", meaning = """Median of what the call took \
--      longer than the access line"""},
--   {name = "codes", below = true, type = "varchar", meaning = "Causes of the calls, the most frequent ones first"},
--   {name = "clients", below = true, type = "varchar", meaning = "Libraries that called"},
--   {name = "example_call_id", below = true, type = "bigint", meaning = "The latest of these calls"},
-- ]
-- ---
select
    server_status, client_outcome, client_status, call_count, share, certain_count, is_contradiction, median_us,
    overhead_us, codes, clients, example_call_id
from report_client_vs_server($since, $until, $host, $model, $endpoint)
order by is_contradiction desc, call_count desc, server_status nulls last, client_outcome, client_status nulls last
