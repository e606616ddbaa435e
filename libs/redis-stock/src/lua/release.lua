-- Gives tickets back: to free, and to the buyer's limit.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers  KEYS[5] released
-- ARGV[1] cause  ARGV[2] now (see clock.lua), then three per order: number, quantity (0: not known), buyer
--
-- Cause 'rollback'   the order is cancelled: from h, c, s. Not from a: that is a later life of the same
--                    order, which a late repeat of the rollback must not end.
--       'refused'    the ledger refused the order: from h, c, s and a
--       'unclaimed'  the order was certainly never sent: from h, unless it was replayed, because the
--                    replaying caller may have sent it. Leaves no tombstone: the buyer may try again.
--       'abandoned'  no caller will ever send the order (its idempotency key belongs to another one):
--                    from h, replayed or not. Leaves no tombstone.
--
-- Returns per order: 1 released  2 was released already  3 kept, see the cause
--                    4 unknown; a tombstone is left for the first two causes when the quantity is known,
--                      so that a late payment finds what to re-acquire and a late mark-sold is refused
--         {-1} instead of all when there is no counter: the rebuild will read these orders from the ledger

if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local releasable = ({
  rollback = { h = true, c = true, s = true },
  refused = { h = true, c = true, s = true, a = true },
  unclaimed = { h = true },
  abandoned = { h = true },
})[ARGV[1]]
local nowMs = timeMs(ARGV[2])
local leavesTombstone = ARGV[1] == 'rollback' or ARGV[1] == 'refused'

local function bury(orderNo, hold)
  hold.state = 'r'
  hold.due = nowMs
  store(KEYS[2], orderNo, hold)
  redis.call('ZADD', KEYS[5], nowMs, orderNo)
end

local answers = {}
local free, held, sold, settled = 0, 0, 0, 0
for first = 3, #ARGV, 3 do
  local orderNo, quantity, buyer = ARGV[first], tonumber(ARGV[first + 1]), ARGV[first + 2]
  local value = redis.call('HGET', KEYS[2], orderNo)
  local hold = value and parse(value)
  local answer
  if not hold then
    if leavesTombstone and quantity > 0 then
      bury(orderNo, { quantity = quantity, heldAt = nowMs, seq = '0', replayed = '0', buyer = buyer })
    end
    answer = 4
  elseif hold.state == 'r' then
    answer = 2
  elseif not releasable[hold.state] or (ARGV[1] == 'unclaimed' and hold.replayed == '1') then
    answer = 3
  else
    if hold.state == 'h' then
      redis.call('ZREM', KEYS[3], orderNo)
      settled = settled + 1
    end
    if hold.state == 'h' or hold.state == 'c' then
      held = held - hold.quantity
    else
      sold = sold - hold.quantity
    end
    free = free + hold.quantity
    charge(KEYS[4], hold.buyer, -hold.quantity)
    if leavesTombstone then bury(orderNo, hold) else redis.call('HDEL', KEYS[2], orderNo) end
    answer = 1
  end
  answers[#answers + 1] = answer
end
move(KEYS[1], free, held, sold)
if settled > 0 then redis.call('HINCRBY', KEYS[1], 'settled', settled) end
return answers
