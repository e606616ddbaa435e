-- Brings Redis up to what the ledger has recorded: these orders own their tickets. Repeating it is
-- harmless, and so is coming late: a hold released since stays released.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers  KEYS[5] released
-- ARGV[1] now (see clock.lua), then four per order: number, quantity, buyer, 's' (deducted) or 'a' (re-acquired)
--
-- Returns per order: 1 marked  2 was sold already  3 was released and stays so (only for 's')
--                    4 was unknown here: its tickets are taken from free, as the ledger says
--         {-1} instead of all when there is no counter: the rebuild will read these orders from the ledger

if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local nowMs = timeMs(ARGV[1])
local answers = {}
local free, held, sold, settled = 0, 0, 0, 0
for first = 2, #ARGV, 4 do
  local orderNo, quantity, buyer, target = ARGV[first], tonumber(ARGV[first + 1]), ARGV[first + 2], ARGV[first + 3]
  local value = redis.call('HGET', KEYS[2], orderNo)
  local hold = value and parse(value)
    or { state = nil, quantity = quantity, heldAt = nowMs, due = '0', seq = '0', replayed = '0', buyer = buyer }
  local answer
  if hold.state == 's' or hold.state == 'a' then
    answer = 2
  elseif hold.state == 'h' or hold.state == 'c' then
    if hold.state == 'h' then
      redis.call('ZREM', KEYS[3], orderNo)
      settled = settled + 1
    end
    held = held - hold.quantity
    sold = sold + hold.quantity
    answer = 1
  elseif hold.state == 'r' and target == 's' then
    answer = 3
  else
    redis.call('ZREM', KEYS[5], orderNo)
    charge(KEYS[4], hold.buyer, hold.quantity)
    free = free - hold.quantity
    sold = sold + hold.quantity
    answer = value and 1 or 4
  end
  if answer == 1 or answer == 4 then
    hold.state = target
    hold.due = '0'
    store(KEYS[2], orderNo, hold)
  end
  answers[#answers + 1] = answer
end
move(KEYS[1], free, held, sold)
if settled > 0 then redis.call('HINCRBY', KEYS[1], 'settled', settled) end
return answers
