-- Finds the commands that the other scripts would not get through: denied to this user, or not there. Changes
-- nothing. A script that is refused one half-way leaves what it has written before: a hold without its expiry.
--
-- KEYS[1] any key of the stock
-- ARGV    names of commands
--
-- Returns those that cannot be run

local denied = {}
for _, command in ipairs(ARGV) do
  -- Raises an error for a command that this server does not know, or knows by another name.
  local isKnown, isAllowed = pcall(redis.acl_check_cmd, command, KEYS[1], 'x', 'x')
  if not isKnown or not isAllowed then denied[#denied + 1] = command end
end
return denied
