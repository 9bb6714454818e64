select 1 as n order by n
