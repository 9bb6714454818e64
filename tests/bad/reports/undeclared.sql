-- ---
-- name     = "another-name"
-- title    = "Parameters and columns that do not fit the query"
-- question = "?"
-- common   = ["since", "host"]
-- columns  = [
--   {name = "n", meaning = "One"},
--   {name = "n", meaning = "The same"},
-- ]
-- ---
-- $comment and '$text' are not parameters
select 1 as n, '$text' as t from events where ts >= $sinse;
select 2
