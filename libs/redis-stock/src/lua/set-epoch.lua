-- Records that all ticket types are verified for this run of Redis, unless it was emptied since that began: what was
-- verified before is gone then, and a ticket type that exists would be answered for as unknown.
--
-- KEYS[1] epoch  KEYS[2] mark of this verification; deleted
-- ARGV[1] run id
--
-- Returns 1 recorded  0 the mark is gone

if redis.call('DEL', KEYS[2]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
