-- Uses a code up, and with it the phone's others: one code opens one session, also for ten at once.
--
-- KEYS[1] the phone's codes  ARGV[1] codeId
--
-- Returns 1 used up by this call, 0 it was gone

if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[1])
return 1
