-- Releases holds that nobody claimed in time, and forgets old tombstones; at most `limit` of each.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers  KEYS[5] released
-- ARGV[1] now (ms)  ARGV[2] limit  ARGV[3] forget tombstones from before (ms)
--
-- Returns the order numbers of the holds it released

if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
for _, orderNo in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[3], 'LIMIT', 0, ARGV[2])) do
  redis.call('HDEL', KEYS[2], orderNo)
  redis.call('ZREM', KEYS[5], orderNo)
end

local reaped = {}
local quantity = 0
for _, orderNo in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  redis.call('ZREM', KEYS[3], orderNo)
  local value = redis.call('HGET', KEYS[2], orderNo)
  local hold = value and parse(value)
  if hold and hold.state == 'h' then
    hold.state = 'r'
    hold.due = ARGV[1]
    store(KEYS[2], orderNo, hold)
    redis.call('ZADD', KEYS[5], ARGV[1], orderNo)
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
