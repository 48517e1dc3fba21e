-- lose: its supervisor saw the worker of this claim die, or gives the claim back unfinished.
-- begins with flow.lua
-- ARGV[1] id   ARGV[2] claim   ARGV[3] 1 when it counts as a crash
-- Returns 1, or 0 when that claim does not stand.

local m = read(ARGV[1])
if m.st ~= 'RUN' or m.claim ~= ARGV[2] then return 0 end
if ARGV[3] == '1' then
  lost(m)
else
  local ran = ran_of(m)
  if redispatch(m, 'READY', now) then note(m, 'returned', '', 0, ran) end
end
return 1
