-- Releases those of the given holds that nobody claimed in time, and forgets old tombstones.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers  KEYS[5] released
-- ARGV[1] now (see clock.lua)  ARGV[2] forget at most so many tombstones  ARGV[3] and those that are so old (ms)
-- ARGV[4] release what expired by (ms), then order numbers
--
-- Returns the order numbers of the holds it released

if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local nowMs = timeMs(ARGV[1])
for _, orderNo in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', nowMs - tonumber(ARGV[3]), 'LIMIT', 0, ARGV[2])) do
  redis.call('HDEL', KEYS[2], orderNo)
  redis.call('ZREM', KEYS[5], orderNo)
end

local reaped = {}
local quantity = 0
for index = 5, #ARGV do
  local orderNo = ARGV[index]
  local value = redis.call('HGET', KEYS[2], orderNo)
  local hold = value and parse(value)
  -- Looked at again: since the caller read the list the hold may have been claimed, or asked for once more.
  if hold and hold.state == 'h' and tonumber(hold.due) <= tonumber(ARGV[4]) then
    hold.state = 'r'
    hold.due = nowMs
    store(KEYS[2], orderNo, hold)
    redis.call('ZREM', KEYS[3], orderNo)
    redis.call('ZADD', KEYS[5], nowMs, orderNo)
    charge(KEYS[4], hold.buyer, -hold.quantity)
    quantity = quantity + hold.quantity
    reaped[#reaped + 1] = orderNo
  end
end
if #reaped > 0 then
  move(KEYS[1], quantity, -quantity, 0)
  redis.call('HINCRBY', KEYS[1], 'settled', #reaped)
end
return reaped
