-- ---
-- name     = "broken-toml"
-- title    = "The quote is never closed
-- question = "?"
-- ---
select 1 as n order by n
