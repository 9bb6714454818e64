-- The outcome that an access line alone proves; a 200 proves nothing for a route that streams or reports progress.
create or replace macro outcome_of(status, endpoint) as
    case
        when status = 499 then 'cancelled_by_client'
        when status >= 400
            and endpoint in (
                '/api/generate', '/api/chat', '/v1/chat/completions', '/v1/completions',
                '/v1/responses', '/v1/messages'
            )
            then 'failed_before_first_byte'
        when status >= 400 then 'failed'
        when endpoint in (
            '/api/generate', '/api/chat', '/v1/chat/completions', '/v1/completions',
            '/v1/responses', '/v1/messages', '/api/pull', '/api/push', '/api/create'
        )
            then 'not_observable'
        else 'completed'
    end;
