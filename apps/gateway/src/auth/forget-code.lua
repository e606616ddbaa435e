-- Deletes an expired code, unless the phone has asked for a newer one since.
--
-- KEYS[1] the phone's code  ARGV[1] codeId
--
-- Returns 1 deleted, 0 not there or another code

if redis.call('HGET', KEYS[1], 'codeId') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
