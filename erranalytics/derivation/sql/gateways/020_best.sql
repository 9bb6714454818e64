-- The pairs in which neither line has a better one. Run until it finds no more.
--
-- reads: gateway_candidates, gateway_pairs
-- writes: gateway_pairs

insert into gateway_pairs
with free_candidates as (
    select c.*
    from gateway_candidates as c
    anti join gateway_pairs as f on f.kind = c.kind and f.front_id = c.front_id
    anti join gateway_pairs as o on o.kind = c.kind and o.other_id = c.other_id
),
candidate_ranks as (
    select kind, front_id, other_id,
        row_number() over (partition by kind, front_id
            order by is_other_status, end_ms, duration_us, places, other_id) as front_place,
        row_number() over (partition by kind, other_id
            order by is_other_status, end_ms, duration_us, places, front_id) as other_place
    from free_candidates
)
select kind, front_id, other_id from candidate_ranks where front_place = 1 and other_place = 1;
