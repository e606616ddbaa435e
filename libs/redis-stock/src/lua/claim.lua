-- Makes holds the order service's own, right before it writes the orders. From here on the reaper
-- leaves them alone. A hold that the reaper took first cannot be claimed.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry
-- ARGV    order numbers
--
-- Returns per order: 1 claimed  2 already claimed (or sold since)  3 gone (released, or never held)
--         {-1} instead of all when there is no counter: nothing can be said of any hold

if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local answers = {}
local claimed = 0
for index, orderNo in ipairs(ARGV) do
  local value = redis.call('HGET', KEYS[2], orderNo)
  local state = value and string.sub(value, 1, 1)
  if state == 'h' then
    redis.call('HSET', KEYS[2], orderNo, 'c' .. string.sub(value, 2))
    redis.call('ZREM', KEYS[3], orderNo)
    claimed = claimed + 1
    answers[index] = 1
  elseif not state or state == 'r' then
    answers[index] = 3
  else
    answers[index] = 2
  end
end
if claimed > 0 then redis.call('HINCRBY', KEYS[1], 'settled', claimed) end
return answers
