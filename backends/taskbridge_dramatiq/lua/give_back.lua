-- give_back: put messages from the shelf back to the front of their lists; the last tag first keeps their order.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, redis id, newline, message
-- ARGV tags, descending
-- Returns how many.

local back = 0
for _, tag in ipairs(ARGV) do
  local held = redis.call('HGET', KEYS[1], tag)
  if held then
    local first = string.find(held, '\n', 1, true)
    local second = string.find(held, '\n', first + 1, true)
    local list, id = string.sub(held, 1, first - 1), string.sub(held, first + 1, second - 1)
    redis.call('HDEL', KEYS[1], tag)
    redis.call('HSET', list .. '.msgs', id, string.sub(held, second + 1))
    redis.call('LPUSH', list, id)
    back = back + 1
  end
end
return back
