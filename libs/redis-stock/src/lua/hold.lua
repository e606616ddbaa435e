-- Put in front of every script that changes holds (see scripts.ts); not a command of its own.
--
-- A hold is one value in the hash `holds`, under its order number:
--
--   h|2|1763688920000|1763689520000|17|0|buyer-9
--   │ │ │             │             │  │ └ buyer id; last, because it may contain anything
--   │ │ │             │             │  └ 1 once the reservation was replayed
--   │ │ │             │             └ accepted as the 17th order of its ticket type
--   │ │ │             └ h: when the hold expires; r: when it was released; else 0 (epoch ms)
--   │ │ └ when it was reserved (epoch ms)
--   │ └ quantity
--   └ h held, c claimed, s sold, a re-acquired (counts as sold), r released (a tombstone)
--
-- free + held + sold = initial, where held = Σ(h, c) and sold = Σ(s, a).

local function parse(value)
  local state, quantity, heldAt, due, seq, replayed, buyer =
    string.match(value, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d)|(.*)$')
  return {
    state = state, quantity = tonumber(quantity), heldAt = heldAt, due = due,
    seq = seq, replayed = replayed, buyer = buyer,
  }
end

local function format(hold)
  return hold.state .. '|' .. hold.quantity .. '|' .. hold.heldAt .. '|' .. hold.due .. '|' .. hold.seq .. '|'
    .. hold.replayed .. '|' .. hold.buyer
end

local function store(holdsKey, orderNo, hold)
  redis.call('HSET', holdsKey, orderNo, format(hold))
end

local function charge(buyersKey, buyer, quantity)
  if redis.call('HINCRBY', buyersKey, buyer, quantity) <= 0 then
    redis.call('HDEL', buyersKey, buyer)
  end
end

-- Moves tickets between the three counters; what comes out of one goes into another.
local function move(counterKey, free, held, sold)
  if free ~= 0 then redis.call('HINCRBY', counterKey, 'free', free) end
  if held ~= 0 then redis.call('HINCRBY', counterKey, 'held', held) end
  if sold ~= 0 then redis.call('HINCRBY', counterKey, 'sold', sold) end
end
