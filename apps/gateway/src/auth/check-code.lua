-- Finds the code that was entered among those of a phone that are still good, or uses up one try of each. In a script, so
-- that a hundred guesses at once are a hundred tries. It does not use the code up: use-code.lua, once all else has been done.
--
-- Tries are counted apart for the address that asked for a code and for all others together, so that a stranger who
-- guesses leaves the tries of whoever asked alone.
--
-- KEYS[1] the phone's codes: hash of codeId -> JSON {hash, expiresAtMs, asker, askersTries, othersTries}
-- ARGV[1] hash of the code that was entered  ARGV[2] now, epoch ms  ARGV[3] from where, as in `asker`
--
-- Returns the right code's id; false when there is none

local codes = redis.call('HGETALL', KEYS[1])
local wrong = {}
for i = 1, #codes, 2 do
  local id, code = codes[i], cjson.decode(codes[i + 1])
  local tries = code.asker == ARGV[3] and 'askersTries' or 'othersTries'
  if tonumber(ARGV[2]) >= code.expiresAtMs then
    redis.call('HDEL', KEYS[1], id)
  elseif code[tries] > 0 then
    if code.hash == ARGV[1] then return id end
    code[tries] = code[tries] - 1
    wrong[#wrong + 1] = id
    wrong[#wrong + 1] = cjson.encode(code)
  end
end
if #wrong > 0 then redis.call('HSET', KEYS[1], unpack(wrong)) end
return false
