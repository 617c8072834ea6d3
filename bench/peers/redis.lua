-- An idempotent transfer between accounts, as one would make it by hand in Redis: KEYS[1] is the idempotency key, kept for a
-- day; ARGV are two numbers that accounts are drawn from.
local first = redis.call('SET', KEYS[1], 'applied', 'NX', 'GET', 'EX', 86400)
if first then
    return first
end
local debit, credit = tonumber(ARGV[1]) % 10000, tonumber(ARGV[2]) % 10000
if tonumber(redis.call('HGET', 'accounts', debit) or 0) < 1 then
    redis.call('SET', KEYS[1], 'rejected', 'EX', 86400)
    return 'rejected'
end
redis.call('HINCRBY', 'accounts', debit, -1)
redis.call('HINCRBY', 'accounts', credit, 1)
return 'applied'
