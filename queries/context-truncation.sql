-- ---
-- name     = "context-truncation"
-- title    = "Prompts longer than the context"
-- question = "Which prompts were cut or refused because the context was too short, and how long must it be?"
-- common   = ["since", "until", "host", "model"]
-- coverage = ["undated", "rejects"]
-- columns  = [
--   {name = "model", type = "varchar", meaning = """Model, or else the name in its file or the digest of the file: \
--      that of the last load before, preferably one with that context"""},
--   {name = "num_ctx", type = "bigint", meaning = """Context in tokens: that of the load if it is known, or else \
--      the limit in the line (from llama_server.go it is about half the context)"""},
--   {name = "outcome", type = "varchar", meaning = """cut silently (answered with 200, the start of the prompt \
--      lost), refused (an error), or stopped (the context filled up in the answer)"""},
--   {name = "prompt_count", type = "bigint", meaning = "Prompts"},
--   {name = "median_tokens", type = "bigint", meaning = """Median length of those whose length is in the log, in \
--      tokens"""},
--   {name = "max_tokens", type = "bigint", meaning = "Longest of them, tokens"},
--   {name = "needed_num_ctx", type = "bigint", meaning = """max_tokens and 1024 for the answer, in whole 1024; \
--      empty when no length is in the log"""},
--   {name = "num_ctx_train", below = true, type = "bigint", meaning = """Context the model was trained with, where \
--      the log says that it was the limit: a larger one does not help"""},
--   {name = "first_ts", below = true, type = "timestamptz", meaning = "First of them"},
--   {name = "last_ts", below = true, type = "timestamptz", meaning = "Last of them"},
--   {name = "remedy", below = true, type = "varchar", meaning = "What to do"},
-- ]
-- ---
select
    model, num_ctx, outcome, prompt_count, median_tokens, max_tokens, needed_num_ctx, num_ctx_train, first_ts,
    last_ts, remedy
from report_context_truncation($since, $until, $host, $model)
order by prompt_count desc, model, num_ctx, outcome
