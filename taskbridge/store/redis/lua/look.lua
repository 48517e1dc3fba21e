-- look: the store's keys and its time, a look at one record, and what the shortest ways of begin and finish need. Every
-- script that moves a message begins with this, most of them by record.lua. It is short, for each call makes its functions.
-- KEYS[1] prefix {tb}:m:      hash per message: st seq attempt starts crashes limit claim last fence pubs queue body why tb group begun,
--   and where it needs locks or limits: locks rates turn at released front (at is of a limit, or what is PAUSED waits for); hold marks code that is no message;
--   since is when it last began to wait for one (unix ms), parked how long it did since its last start, "locks limits" (ms),
--   and from the start on that of this claim, "locks limits claim";
--   same has the keys under which it is the only one, a line each: "until key"; part is what it is part of (flow.lua);
--   fresh is when what the store made itself was first due, while nobody has published it (unix ms); due is when one that
--   is HELD may go on (unix ms);
--   foreign marks what no worker of ours runs: published, it has an end like a done one; cancel is why one that runs is to
--   end with this attempt;
--   to and sent are the backend that it was last published to, and when (unix ms); trail is what has happened to it, see note
--   in record.lua; was is of one that has ended, "begun ended enqueued due" (unix ms), of and of2 "queue task"
-- KEYS[2] zset   {tb}:leases  "claim id" -> end of the lease (unix ms)
-- KEYS[3] zset   {tb}:due     id -> due, or end of the relay's lease (unix ms)
-- KEYS[4] zset   {tb}:dead    id -> when it died (unix ms)
-- KEYS[5] zset   {tb}:parked  id -> until when it waits for a newer worker (unix ms)
-- KEYS[6] prefix {tb}:group:  zset per group: id -> until
-- KEYS[7] hash   {tb}:groups  group -> how many wait in it
-- KEYS[8] hash   {tb}:counts  "queue state" -> how many
-- KEYS[9] list   {tb}:bell    wakes the relay; at most one token
-- KEYS[10] string {tb}:fence  grows with each accepted begin
-- KEYS[11] string {tb}:pulse  when claims were last swept (unix ms)
-- KEYS[12] string {tb}:quiet  until when no claim is taken away (unix ms)
-- KEYS[13] prefix {tb}:lock:       hash per lock: id -> claim of its holder, '' while it is reserved
-- KEYS[14] prefix {tb}:lock-wait:  zset per lock: id -> turn
-- KEYS[15] zset   {tb}:reserved    id -> until when its locks are reserved for it (unix ms; +inf for a run's)
-- KEYS[16] prefix {tb}:rate:       string per limit's key: when its next start is due at its pace (unix us)
-- KEYS[17] prefix {tb}:rate-wait:  zset per limit's key: id -> turn
-- KEYS[18] prefix {tb}:rate-out:   zset per limit's key: "weight id" let out and not begun -> until when it counts (unix ms)
-- KEYS[19] zset   {tb}:pacing      limit's key that is waited at -> when the next may be let out (unix ms)
-- KEYS[20] hash   {tb}:limits      name of a limit -> "interval (us) burst", changed at run time; "paused" behind or alone
-- KEYS[21] string {tb}:turn        grows with each first wait: who waits longest goes first
-- KEYS[22] prefix {tb}:wake:       list per hold: wakes the code that waits
-- KEYS[23] prefix {tb}:unique:     string per key under which one message is taken: its id
-- KEYS[24] prefix {tb}:flow:       chains, batches and runs, see flow.lua
-- KEYS[25] hash   {tb}:paused      "task NAME", "queue NAME" or "key KEY" -> state, when (unix ms), who and why, a line each; the
--   state is paused, or resumed while some of what waited is still to go on. The key, ":" and such a field are of a zset of what
--   waits for it: id -> turn

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- A full store lets a script write whose first write frees something; this one frees nothing and costs nothing.
local function free_first() redis.call('ZREM', KEYS[2], '') end

local LEASE, GAP = 15000, 5000
-- Code that waits for a lock or a limit says so more often than this; then its record is forgotten.
local PATIENCE = 30000
-- A start may be let out so much early, and waits in its worker: only where the burst is too short to catch up (us).
local EARLY, SHORT_BURST = 10000, 25000
local WINDOW, LONG_WINDOW, LAST_RESORT = 7200000, 604800000, 1209600000

local function read(id)
  local f = redis.call('HMGET', KEYS[1] .. id, 'st', 'seq', 'attempt', 'starts', 'crashes', 'limit', 'claim', 'last',
    'pubs', 'queue', 'group', 'locks', 'rates', 'turn', 'at', 'released', 'hold', 'same', 'part', 'fresh',
    'begun', 'trail')
  if not f[1] then
    return { id = id, starts = 0, crashes = 0, pubs = 0, locks = '', rates = '', at = '', released = '', part = '' }
  end
  return {
    id = id, st = f[1], seq = tonumber(f[2]) or 1, attempt = tonumber(f[3]) or 1, starts = tonumber(f[4]) or 0,
    crashes = tonumber(f[5]) or 0, limit = tonumber(f[6]) or 0, claim = f[7], last = f[8], pubs = tonumber(f[9]) or 0,
    queue = f[10] or '', group = f[11] or '', locks = f[12] or '', rates = f[13] or '', turn = tonumber(f[14]),
    at = f[15] or '', released = f[16] or '', hold = f[17] == '1', same = f[18], part = f[19] or '', fresh = f[20],
    begun = f[21] or 0, trail = f[22],
  }
end

-- stands_as: the id under which a message has its keys; a chunk has those of its run.
local function stands_as(m) return string.match(m.part, '^run ([^\n]+)') or m.id end

-- free_same: from now on another message may be taken under these keys. `start` frees those that end with the first start.
local function free_same(m, start)
  local id = stands_as(m)
  for till, key in string.gmatch(m.same or '', '(%S+) ([^\n]+)') do
    local over = till == 'until_started' or till == 'debounce' or (till == 'until_done' and not start)
    if over and redis.call('GET', KEYS[23] .. key) == id then redis.call('DEL', KEYS[23] .. key) end
  end
end

-- mark_done: a marker stays for the window in which a copy could come again, and tells what has been meanwhile. `facts` are
-- "enqueued due" (unix ms), and in a second line "queue task". There are many markers, so each is short: when it was begun,
-- enqueued and due is said as how long before its end, "-" for never; no word is longer than what a compact hash keeps.
local function ago(at)
  at = tonumber(at) or 0
  return at > 0 and string.format('%.0f', now - at) or '-'
end

local function mark_done(m, last, facts)
  local key = KEYS[1] .. m.id
  redis.call('DEL', key)
  if m.hold then return end
  local enqueued, due, of = string.match(facts or '', '^(%d+) (%d+)\n(.*)$')
  local was = string.format('%.0f %s %s %s', now, ago(m.begun), ago(enqueued), ago(due))
  redis.call('HSET', key, 'st', 'DONE', 'last', last or m.last or '', 'was', was, 'of', string.sub(of or '', 1, 64))
  if (m.seq or 1) > 1 then redis.call('HSET', key, 'seq', m.seq) end
  if (m.attempt or 1) > 1 then redis.call('HSET', key, 'attempt', m.attempt) end
  if of and #of > 64 then redis.call('HSET', key, 'of2', string.sub(of, 65, 128)) end
  if m.trail then redis.call('HSET', key, 'trail', m.trail) end
  redis.call('PEXPIRE', key, (m.pubs > 1 or (m.seq or 1) > 1) and LONG_WINDOW or WINDOW)
end

-- set_due: when the next start at a limit's key is due at its pace (us).
local function set_due(key, due)
  redis.call('SET', KEYS[16] .. key, string.format('%.0f', due), 'PX', math.ceil((due - now_us) / 1000) + 1000)
end

-- facts_of: what its body tells of a message that ends in another way than by its worker's word.
local function facts_of(m)
  local body = m.body or redis.call('HGET', KEYS[1] .. m.id, 'body')
  local read, told = pcall(cjson.decode, body or '')
  if not read or type(told) ~= 'table' or type(told.task) ~= 'string' then return '' end
  local enqueued, due = tonumber(told.enqueued_at_ms) or 0, tonumber(told.due_at_ms) or 0
  return string.format('%.0f %.0f\n%s %s', enqueued, due, m.queue, told.task)
end
