-- ---
-- name     = "gateway-errors"
-- title    = "What gateways answered"
-- question = "Which errors did the gateways in front of Ollama send, why, and what had Ollama answered?"
-- common   = ["since", "until", "host", "model", "endpoint", "code", "min_count"]
-- coverage = ["unknown", "rejects", "undated"]
-- columns  = [
--   {name = "status", type = "smallint", meaning = """Status the gateway sent; below 400 when the answer broke \
--      after its first byte, empty when only its error log has it"""},
--   {name = "code", type = "varchar", meaning = """Code of the cause: of the incident of both sides, where Ollama's \
--      line of the request is known"""},
--   {name = "endpoint", type = "varchar", meaning = "Route; empty when the log does not name it"},
--   {name = "upstream", type = "varchar", meaning = "Where the gateway sent the request, as its log names it"},
--   {name = "request_count", type = "bigint", meaning = "Requests: the numerator"},
--   {name = "endpoint_request_count", below = true, type = "bigint", meaning = """All requests of the route at \
--      gateways: the denominator"""},
--   {name = "share", type = "double", unit = "share", meaning = """request_count of endpoint_request_count; empty \
--      below --min-count"""},
--   {name = "seen_count", below = true, type = "bigint", meaning = """Of request_count, those whose line of Ollama \
--      was found"""},
--   {name = "ollama_said", type = "varchar", meaning = "Statuses of these lines and how often"},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First seen"},
--   {name = "last_ts", type = "timestamptz", meaning = "Last seen"},
--   {name = "title", below = true, type = "varchar", meaning = "What happened"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do, first sentence"},
-- ]
-- ---
select
    status, code, endpoint, upstream, request_count, endpoint_request_count, share, seen_count, ollama_said,
    first_ts, last_ts, title, remedy
from report_gateway_errors($since, $until, $host, $model, $endpoint, $code, $min_count)
order by request_count desc, status nulls last, code nulls last, endpoint nulls last, upstream nulls last
