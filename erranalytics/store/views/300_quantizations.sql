-- Bits per weight of published types, from whole files of 7B models (llama.cpp, tools/quantize/README.md).
create or replace view quantizations as
select *
from (
    values ('F32', 32.0),
    ('BF16', 16.0), ('F16', 16.0), ('Q8_0', 8.5), ('Q6_K', 6.56), ('Q5_K_M', 5.68),
    ('Q5_K_S', 5.52), ('Q5_1', 5.97), ('Q5_0', 5.5), ('Q4_1', 5.0), ('Q4_K_M', 4.85),
    ('Q4_K_S', 4.58), ('Q4_0', 4.55), ('MXFP4', 4.25), ('IQ4_XS', 4.25), ('Q3_K_L', 4.27),
    ('Q3_K_M', 3.91), ('Q3_K_S', 3.5), ('Q2_K', 2.96)
) as measured (quantization, bits_per_weight);
comment on view quantizations is 'Bits per weight of the quantizations of GGUF files';
comment on column quantizations.quantization is 'Type, as it is written in the names of models';
comment on column quantizations.bits_per_weight is 'Bits per weight, whole file';
