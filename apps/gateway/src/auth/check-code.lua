-- Uses up a sign-in code, or one of its tries. In a script, so that a hundred guesses at once are a
-- hundred tries and one code opens one session.
--
-- KEYS[1] the phone's code: hash of codeId, hash, expiresAtMs, triesLeft
-- ARGV[1] hash of the code that was entered  ARGV[2] now, epoch ms
--
-- Returns 1 right (the code is used up), 0 wrong, -1 no code, expired, or no tries left

local stored = redis.call('HMGET', KEYS[1], 'hash', 'expiresAtMs', 'triesLeft')
if not stored[1] then return -1 end
if tonumber(ARGV[2]) >= tonumber(stored[2]) then
  redis.call('DEL', KEYS[1])
  return -1
end
if stored[1] == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('HINCRBY', KEYS[1], 'triesLeft', -1) <= 0 then redis.call('DEL', KEYS[1]) end
return 0
