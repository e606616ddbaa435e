-- Makes counters, expiries and limits anew from the ledger and from those holds that the ledger cannot
-- know yet. In one step, so that a sale that goes on meanwhile sees the old state or the new one.
-- Takes time in proportion to the holds: about a second for 100,000.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers  KEYS[5] released
-- KEYS[6] staged: hash of order number → `<s|a|r|e>|<quantity>|<at ms>|<buyer>`, the ledger's view; deleted
-- ARGV[1] initial  ARGV[2] price  ARGV[3] currency  ARGV[4] limit  ARGV[5] sale opens at (ms)
-- ARGV[6] epoch  ARGV[7] forget tombstones from before (ms)  ARGV[8] sale is over from (ms)
-- ARGV[9] begin before (ms, by this server's clock): whoever asked has given up by then, and the ledger goes on
-- ARGV[10] the session begins at (ms)
--
--   ledger says   hold was      becomes
--   s             anything      s
--   a             anything      a
--   r             a             a  re-acquired just now; the ledger will hear of it
--   r             other         r
--   e             anything      r  refused or returned: nothing comes after that
--   nothing       s             c  its DEDUCT cannot be lost, so it is still to come
--   nothing       h, c, a, r    as it was
--
-- Returns {initial, free, held, sold} before ({} when there was no counter) and {initial, free, held, sold} after,
--         or an error when it is too late to begin

local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 >= tonumber(ARGV[9]) then
  redis.call('DEL', KEYS[6])
  return redis.error_reply('ERR the rebuild came too late')
end

local before = redis.call('HMGET', KEYS[1], 'initial', 'free', 'held', 'sold', 'accepted')
local holds, stored = {}, {}
local current = redis.call('HGETALL', KEYS[2])
for index = 1, #current, 2 do
  local hold = parse(current[index + 1])
  if hold.state == 's' then hold.state = 'c' end
  holds[current[index]] = hold
  stored[current[index]] = current[index + 1]
end

local staged = redis.call('HGETALL', KEYS[6])
for index = 1, #staged, 2 do
  local state, quantity, at, buyer = string.match(staged[index + 1], '^(%a)|(%d+)|(%d+)|(.*)$')
  local known = holds[staged[index]]
  local hold = known or { heldAt = at, seq = '0', replayed = '0' }
  if not (state == 'r' and hold.state == 'a') then
    if state == 'e' then state = 'r' end
    hold.due = (state ~= 'r' and '0') or (hold.state == 'r' and hold.due) or at
    hold.state, hold.quantity, hold.buyer = state, tonumber(quantity), buyer
  end
  holds[staged[index]] = hold
end

redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
local held, sold, waiting = 0, 0, 0
local buyers = {}
for orderNo, hold in pairs(holds) do
  local isForgotten = false
  if hold.state == 'r' then
    isForgotten = tonumber(hold.due) <= tonumber(ARGV[7])
    if not isForgotten then redis.call('ZADD', KEYS[5], hold.due, orderNo) end
  else
    buyers[hold.buyer] = (buyers[hold.buyer] or 0) + hold.quantity
    if hold.state == 'h' then
      waiting = waiting + 1
      redis.call('ZADD', KEYS[3], hold.due, orderNo)
    end
    if hold.state == 'h' or hold.state == 'c' then
      held = held + hold.quantity
    else
      sold = sold + hold.quantity
    end
  end
  -- Most are as they should be, and writing is what takes long.
  local value = format(hold)
  if isForgotten then
    redis.call('HDEL', KEYS[2], orderNo)
  elseif value ~= stored[orderNo] then
    redis.call('HSET', KEYS[2], orderNo, value)
  end
end
for buyer, quantity in pairs(buyers) do redis.call('HSET', KEYS[4], buyer, quantity) end

local initial = tonumber(ARGV[1])
local accepted = tonumber(before[5] or waiting)
redis.call('HSET', KEYS[1], 'initial', initial, 'free', initial - held - sold, 'held', held, 'sold', sold,
  'accepted', accepted, 'settled', accepted - waiting, 'price', ARGV[2], 'currency', ARGV[3],
  'limit', ARGV[4], 'opensAt', ARGV[5], 'closesAt', ARGV[8], 'startsAt', ARGV[10],
  'epoch', ARGV[6])
return {
  before[1] and { before[1], before[2], before[3], before[4] } or {},
  { tostring(initial), tostring(initial - held - sold), tostring(held), tostring(sold) },
}
