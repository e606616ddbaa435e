-- Put in front of every script that reads a clock (see scripts.ts); not a command of its own.
--
-- All times of the stock are this server's: a hold that is due by the clock of one service and reaped by that of
-- another is given away while its buyer waits. `given` is another time to take for now, '' for none.

local function timeMs(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
