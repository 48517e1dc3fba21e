-- confirm: a write of its own behind what a connection has asked: WAIT and WAITAOF of newer servers count nothing else, so
-- after an answer that wrote nothing they would say at once that all is safe.
-- KEYS[1] string {tb}:confirm  nobody reads it
-- Returns nothing.

redis.call('DEL', KEYS[1]) -- frees first, so that it runs when memory is full
redis.call('SET', KEYS[1], '')
