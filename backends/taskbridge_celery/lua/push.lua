-- push: messages that the store keeps already go into a list even when memory is full; they must run for it to be freed.
-- KEYS[1] list: kombu pushes at the left
-- ARGV messages
-- Returns nothing.

redis.call('LTRIM', KEYS[1], 0, -1) -- frees nothing, but may: a full server lets a script write that begins so
for _, raw in ipairs(ARGV) do redis.call('LPUSH', KEYS[1], raw) end
