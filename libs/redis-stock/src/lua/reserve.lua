-- Takes tickets for one order, once. The hot path of a sale: 4 reads and 4 writes.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] hold-expiry  KEYS[4] buyers
-- ARGV[1] order number  ARGV[2] buyer  ARGV[3] quantity  ARGV[4] now (see clock.lua)  ARGV[5] the hold lasts (ms)
-- ARGV[6] epoch: run id of the Redis the caller is connected to
-- ARGV[7] a hold that is older (ms) answers for no request any more, then the other numbers of the same request
--
-- Returns {1, position, 'h', price, currency, number, end of the sale (ms)}      reserved
--         {2, position, state, price, currency, number, end of the sale (ms)}    the request was reserved before, under `number`; nothing is taken again
--         {-1} the counters are of another epoch: not verified since Redis (re)started
--         {-2} sold out  {-3} over the buyer's limit  {-4} the sale is not open yet  {-5} no such counter
--         {-6} the sale is over

local counter = redis.call('HMGET', KEYS[1],
  'epoch', 'free', 'held', 'accepted', 'settled', 'limit', 'opensAt', 'price', 'currency', 'closesAt')
if not counter[2] then return {-5} end
-- Counters of before there was a `closesAt` are verified anew, and get one then.
if counter[1] ~= ARGV[6] or not counter[10] then return {-1} end

local nowMs = timeMs(ARGV[4])
local dueMs = nowMs + tonumber(ARGV[5])
local number = ARGV[1]
local known = redis.call('HGET', KEYS[2], number)
for index = 8, #ARGV do
  if known then break end
  number = ARGV[index]
  known = redis.call('HGET', KEYS[2], number)
  if known and tonumber(string.match(known, '^%a|%d+|(%d+)|')) < nowMs - tonumber(ARGV[7]) then known = false end
end
if known then
  local state, quantity, heldAt, seq, buyer = string.match(known, '^(%a)|(%d+)|(%d+)|%d+|(%d+)|%d|(.*)$')
  local position = 0
  if state == 'h' then
    -- The caller is about to send the order again: the reaper must give that message its full time,
    -- and another caller whose own send failed must not take the hold away (see release.lua).
    redis.call('HSET', KEYS[2], number,
      'h|' .. quantity .. '|' .. heldAt .. '|' .. dueMs .. '|' .. seq .. '|1|' .. buyer)
    redis.call('ZADD', KEYS[3], dueMs, number)
    position = math.max(1, tonumber(seq) - tonumber(counter[5]))
  end
  return {2, position, state, counter[8], counter[9], number, counter[10]}
end

if tonumber(counter[7]) > nowMs then return {-4} end
if tonumber(counter[10]) <= nowMs then return {-6} end
local quantity = tonumber(ARGV[3])
local bought = tonumber(redis.call('HGET', KEYS[4], ARGV[2]) or 0)
if bought + quantity > tonumber(counter[6]) then return {-3} end
local free = tonumber(counter[2])
if free < quantity then return {-2} end

local accepted = tonumber(counter[4]) + 1
redis.call('HSET', KEYS[1], 'free', free - quantity, 'held', tonumber(counter[3]) + quantity, 'accepted', accepted)
redis.call('HSET', KEYS[2], ARGV[1],
  'h|' .. ARGV[3] .. '|' .. nowMs .. '|' .. dueMs .. '|' .. accepted .. '|0|' .. ARGV[2])
redis.call('ZADD', KEYS[3], dueMs, ARGV[1])
redis.call('HSET', KEYS[4], ARGV[2], bought + quantity)
return {1, accepted - tonumber(counter[5]), 'h', counter[8], counter[9], ARGV[1], counter[10]}
