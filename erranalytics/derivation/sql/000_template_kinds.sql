-- Which records matter for sessions, loads and the memory of devices: of millions a few, and their templates find them
-- without a look at the texts.
--
-- reads: templates
-- makes: template_kinds, one row per template that sessions, loads or memory need

create or replace temp table template_kinds as
with kinds as (
    select
        template_id,
        case
            when template = 'server config' then 'config'
            when template like 'Listening on %(version%' then 'listening'
            when template like 'Listening on %' then 'listening_old'
            when template = 'inference compute' then 'device'
            -- Before v0.1.35 only the runner names the devices, or the search for libraries their maker.
            when format = 'llama-cpp' and (template like 'found % CUDA devices:'
                or template like 'found % ROCm devices:') then 'device_list'
            when template in ('Nvidia GPU detected', 'Radeon GPU detected') then 'device_maker'
            -- With OLLAMA_DEBUG a server that ends says that its scheduler does (server/sched.go@v0.24.0).
            when template like 'shutting down scheduler %' then 'stopped'
            when format = 'systemd' and template like '%Stopp%' or format = 'systemd'
                and template like '%Deactivated successfully%' or format = 'systemd' and template like '%: Succeeded%'
                then 'stopped'
            when format = 'systemd' and template ilike '%main process exited%' then 'exited'
            when format = 'systemd' and template like '%Failed with result %oom-kill%' then 'oom_result'
            when format = 'systemd' and template like '%Failed with result%' then 'exited'
        end as of_run,
        case
            -- The runner is a child process from v0.0.18 to v0.1.17, a part of the server to v0.1.31
            -- (llm/dyn_ext_server.go@v0.1.28), and then a child process again.
            when template in ('starting llama.cpp server', 'starting llama runner', 'Initializing llama server',
                'Initializing internal llama server') then 'start'
            when template in ('starting llama server', 'starting runner', 'starting llama-server',
                'starting mlx runner subprocess') then 'start'
            when template like 'llama%started in % seconds' or template like 'mlx runner is ready%' then 'ready'
            when template like 'Starting %llama main loop' or (format like 'cpp-%' and template like 'model loaded%')
                then 'up'
            when template in ('Load failed', 'NewLlamaServer failed', 'failed to create server',
                'failed to load model metadata', 'error loading llama server') then 'failed'
            when template = 'offload' or template like 'offload to %' then 'estimate'
            when template = 'model request too large for system' then 'estimate'
            when template in ('load', 'loading model', 'enabling flash attention') then 'layout'
            when template in ('system memory', 'gpu memory') then 'free'
            when template in ('model weights', 'kv cache', 'compute graph', 'total memory') then 'sizes'
            when template like '%offloaded %/% layers to GPU%' then 'layers'
            when template like 'loading model tensors%' then 'pass'
            when template like '%buffer size =%' or template like '%buffer total size =%'
                or template like '%self size%' or template like 'mem required%' or template like '%VRAM used%'
                then 'buffers'
            when template like 'size =%cells%' or template like 'kv_size =%type_k%' then 'cache'
            when template like 'projected to use %' then 'projected'
            when template like 'Flash Attention was auto%' or template like 'loaded meta data with %' then 'facts'
            -- The dump of the loader is folded into its first line, which differs between versions.
            when format = 'llama-cpp' and regexp_matches(template,
                '^(?:Dumping metadata|- |[a-z]\w*(?:[. ]\w+)* = |constructing |'
                'printing all |special |special_|control token|token to piece|mrope )')
                then 'facts'
        end as of_load,
        case
            when template = 'inference compute' then 'inference_compute'
            when template = 'gpu memory' then 'gpu_memory'
            when template = 'system memory' then 'system_memory'
            when template like 'updated VRAM%' then 'vram_update'
            -- With OLLAMA_DEBUG, up to v0.12.3 (discover/gpu.go and discover/amd_linux.go@v0.12.3).
            when template in ('updating cuda memory data', 'updating rocm free memory', 'updating system memory data')
                then 'memory_refresh'
            when template like 'using device % free' then 'runner_device'
            when template like '%memory reporting free: % total: %' then 'device_report'
            -- A runner lists the devices it sees, in one record or in one record each.
            when template like 'device_info:%' or template like '%- % : % (%, % free)' then 'runner_devices'
        end as of_memory
    from templates
)
select * from kinds where coalesce(of_run, of_load, of_memory) is not null;
