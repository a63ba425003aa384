"""What Redis does in one step: each script leaves values and the books about them in agreement.

The books: `used` and `ends` order the entries by last use and by end (milliseconds), `size` has
their bytes, `bytes` and `entries` sums by kind, `group:<group>` the members. Every name begins
with the same `{tag}`, so that a cluster keeps them together.
"""

from typing import Final

_FORGET = """
local p = KEYS[1]
local function forget(name)
  local size = redis.call('HGET', p .. 'size', name)
  redis.call('UNLINK', p .. name)
  if not size then return nil end
  local kind, group = name:match('^([^:]+):([^:]+):')
  redis.call('HDEL', p .. 'size', name)
  redis.call('ZREM', p .. 'used', name)
  redis.call('ZREM', p .. 'ends', name)
  redis.call('SREM', p .. 'group:' .. group, name)
  redis.call('HINCRBY', p .. 'bytes', kind, -size)
  redis.call('HINCRBY', p .. 'bytes', 'all', -size)
  redis.call('HINCRBY', p .. 'entries', kind, -1)
  return kind
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function tidy()
  local late = redis.call('ZRANGEBYSCORE', p .. 'ends', '-inf', now, 'LIMIT', 0, 500)
  for _, name in ipairs(late) do forget(name) end
  return #late
end
"""

GET: Final = (
    _FORGET
    + """
local value = redis.call('GET', p .. ARGV[1])
if value then
  redis.call('ZADD', p .. 'used', 'XX', now, ARGV[1])
else
  forget(ARGV[1])
end
return value
"""
)
"""KEYS: prefix. ARGV: name. Gives the value; without one, the books forget it too."""

SET: Final = (
    _FORGET
    + """
local name, value, life, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local kind, group = name:match('^([^:]+):([^:]+):')
tidy()
forget(name)
redis.call('SET', p .. name, value, 'PX', life)
redis.call('HSET', p .. 'size', name, #value)
redis.call('ZADD', p .. 'used', now, name)
redis.call('ZADD', p .. 'ends', now + life, name)
redis.call('SADD', p .. 'group:' .. group, name)
redis.call('HINCRBY', p .. 'bytes', kind, #value)
redis.call('HINCRBY', p .. 'entries', kind, 1)
local all = redis.call('HINCRBY', p .. 'bytes', 'all', #value)
local evicted = {}
while all > limit do
  local oldest = redis.call('ZRANGE', p .. 'used', 0, 0)[1]
  if not oldest then break end
  evicted[#evicted + 1] = forget(oldest)
  all = tonumber(redis.call('HGET', p .. 'bytes', 'all'))
end
return evicted
"""
)
"""KEYS: prefix. ARGV: name, value, milliseconds to live, limit. Gives the kinds of the evicted."""

DROP: Final = (
    _FORGET
    + """
local names = redis.call('SRANDMEMBER', p .. 'group:' .. ARGV[1], 500)
for _, name in ipairs(names) do forget(name) end
return #names
"""
)
"""KEYS: prefix. ARGV: group. Removes up to 500 of it; gives how many."""

CLEAR: Final = (
    _FORGET
    + """
local names = redis.call('ZRANGE', p .. 'used', 0, 499)
for _, name in ipairs(names) do forget(name) end
return #names
"""
)
"""KEYS: prefix. Removes up to 500 entries; gives how many."""

HELD: Final = (
    _FORGET
    + """
while tidy() > 0 do end
return {redis.call('HGETALL', p .. 'bytes'), redis.call('HGETALL', p .. 'entries')}
"""
)
"""KEYS: prefix. Gives bytes and entries, each as a flat list of kind and number."""
