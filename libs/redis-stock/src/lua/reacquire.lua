-- Takes a cancelled order's tickets again, for a payment that came after its timeout.
--
-- A buyer who paid before the end of the sale keeps the tickets however late that is told, as long as they are of use:
-- until the session begins.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] buyers  KEYS[4] released
-- ARGV[1] order number  ARGV[2] now (see clock.lua)  ARGV[3] when it was paid (ms), '' if not known: now
--
-- Returns 1 re-acquired (also when repeated)  2 not enough: too few are free, or the buyer has used up the limit since
--         3 not released yet: the rollback is still on its way  4 gone: never known, or forgotten
--         5 it was paid after the sale, or the session has begun
--         -1 no counter

local counter = redis.call('HMGET', KEYS[1], 'free', 'limit', 'closesAt', 'startsAt')
if not counter[1] or not counter[3] then return -1 end
local value = redis.call('HGET', KEYS[2], ARGV[1])
if not value then return 4 end
local hold = parse(value)
if hold.state == 'a' then return 1 end
if hold.state ~= 'r' then return 3 end
local nowMs = timeMs(ARGV[2])
if tonumber(counter[3]) <= math.min(nowMs, tonumber(ARGV[3]) or nowMs) then return 5 end
-- Counters of before there was a `startsAt` go by the end of the sale, which is no later.
if tonumber(counter[4] or counter[3]) <= nowMs then return 5 end
if tonumber(counter[1]) < hold.quantity then return 2 end
local bought = tonumber(redis.call('HGET', KEYS[3], hold.buyer) or 0)
if bought + hold.quantity > tonumber(counter[2]) then return 2 end

hold.state = 'a'
hold.due = '0'
store(KEYS[2], ARGV[1], hold)
redis.call('ZREM', KEYS[4], ARGV[1])
charge(KEYS[3], hold.buyer, hold.quantity)
move(KEYS[1], -hold.quantity, 0, hold.quantity)
return 1
