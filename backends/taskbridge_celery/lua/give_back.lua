-- give_back: put messages from the shelf back to the front of their lists; the last tag first keeps their order.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, message
-- ARGV tags, descending
-- Returns how many.

local back = 0
for _, tag in ipairs(ARGV) do
  local held = redis.call('HGET', KEYS[1], tag)
  if held then
    local at = string.find(held, '\n', 1, true)
    redis.call('HDEL', KEYS[1], tag)
    redis.call('RPUSH', string.sub(held, 1, at - 1), string.sub(held, at + 1))
    back = back + 1
  end
end
return back
