-- Counts what the holds add up to, to be compared with the counters. Changes nothing.
-- Takes time in proportion to the holds, so it looks at them only when there are at most `bound`.
--
-- KEYS[1] counter  KEYS[2] holds  KEYS[3] buyers
-- ARGV[1] bound
--
-- Returns {} when there is no counter, else {initial, free, held, sold, Σ(h, c), Σ(s, a), Σ of the buyers},
--         the last three as '' when there are more holds than `bound`

local counter = redis.call('HMGET', KEYS[1], 'initial', 'free', 'held', 'sold')
if not counter[1] then return {} end
if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[1]) then
  return { counter[1], counter[2], counter[3], counter[4], '', '', '' }
end
local held, sold, charged = 0, 0, 0
for _, value in ipairs(redis.call('HVALS', KEYS[2])) do
  local hold = parse(value)
  if hold.state == 'h' or hold.state == 'c' then
    held = held + hold.quantity
  elseif hold.state ~= 'r' then
    sold = sold + hold.quantity
  end
end
for _, quantity in ipairs(redis.call('HVALS', KEYS[3])) do charged = charged + tonumber(quantity) end
return { counter[1], counter[2], counter[3], counter[4], tostring(held), tostring(sold), tostring(charged) }
