// What Redis does in one step: changes of users, counts, and who is let in. Lua, as Redis 7 has it.
// All our keys begin with one tag, so that a cluster keeps them together, and every change of users or counts gets
// the next number and an entry of that number in the feed, which all servers follow.
// Must never count a batch that was counted.

/** Entries of the feed; who has missed more reads everything anew. */
const FEED_LENGTH = 2_000

/** Writers whose last batch is remembered: more than will ever try again. */
const MAX_WRITERS = 10_000

/** Days of a user that are kept. */
const MAX_DAYS = 40

/** A server that has given no sign of life for so long, in seconds, has no sessions. */
export const LEASE = 6

const TELL = `
local function tell(kind, value)
  local number = redis.call('INCR', KEYS[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ${FEED_LENGTH}, number .. '-0', kind, value)
  return number
end
`

/**
 * KEYS number, feed, epoch, users, names, hashes, what the user has used.
 * ARGV id, the record as it was (empty for none), as it shall be, its name before and after, its hash before and
 * after (empty for one who goes), an epoch should there be none.
 * Answers OK, CHANGED (it was not as it was), NAME or HASH (another user has it).
 */
export const PUT_USER = `${TELL}
local id, before, after = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', KEYS[4], id) or '') ~= before then return 'CHANGED' end
for index, key in ipairs({KEYS[5], KEYS[6]}) do
  local value = ARGV[3 + 2 * index]
  local owner = value ~= '' and redis.call('HGET', key, value)
  if owner and owner ~= id then return index == 1 and 'NAME' or 'HASH' end
end
redis.call('SET', KEYS[3], ARGV[8], 'NX')
redis.call('HSET', KEYS[4], id, after)
for index, key in ipairs({KEYS[5], KEYS[6]}) do
  local old, new = ARGV[2 + 2 * index], ARGV[3 + 2 * index]
  if old ~= '' and redis.call('HGET', key, old) == id then redis.call('HDEL', key, old) end
  if new ~= '' then redis.call('HSET', key, new, id) end
end
if ARGV[5] == '' then redis.call('DEL', KEYS[7]) end
tell('user', id)
return 'OK'
`

/**
 * KEYS number, feed, epoch, users, taken, writers. ARGV writer, number of the batch, what was used as JSON
 * (by day, then by user: [up, down]), what the keys of users' counts begin with, an epoch.
 */
export const COUNT = `${TELL}
local writer, batch = ARGV[1], tonumber(ARGV[2])
if batch <= tonumber(redis.call('HGET', KEYS[5], writer) or '0') then return 0 end
redis.call('SET', KEYS[3], ARGV[5], 'NX')
local used = cjson.decode(ARGV[3])
local number = tell('used', ARGV[3])
for day, users in pairs(used) do
  for id, pair in pairs(users) do
    local record = redis.call('HGET', KEYS[4], id)
    if not record or string.sub(record, 1, 7) ~= '{"gone"' then
      local key = ARGV[4] .. id
      local up, down = string.format('%.0f', pair[1]), string.format('%.0f', pair[2])
      redis.call('HINCRBY', key, 'up', up)
      redis.call('HINCRBY', key, 'down', down)
      redis.call('HINCRBY', key, day .. ':up', up)
      redis.call('HINCRBY', key, day .. ':down', down)
      redis.call('HSET', key, 'number', number)
      while redis.call('HLEN', key) > ${3 + 2 * MAX_DAYS} do
        local oldest = nil
        for _, field in ipairs(redis.call('HKEYS', key)) do
          if string.sub(field, -3) == ':up' and (not oldest or field < oldest) then oldest = field end
        end
        if not oldest then break end
        redis.call('HDEL', key, oldest, string.sub(oldest, 1, -3) .. 'down')
      end
    end
  end
end
redis.call('HSET', KEYS[5], writer, batch)
redis.call('ZADD', KEYS[6], redis.call('TIME')[1], writer)
if redis.call('ZCARD', KEYS[6]) > ${MAX_WRITERS} then
  redis.call('HDEL', KEYS[5], redis.call('ZPOPMIN', KEYS[6])[1])
end
return number
`

/** KEYS number, feed, what the user has used. ARGV id. */
export const RESET = `${TELL}
redis.call('DEL', KEYS[3])
local number = tell('reset', ARGV[1])
redis.call('HSET', KEYS[3], 'number', number, 'up', 0, 'down', 0)
return number
`

/**
 * KEYS sessions of the user, servers. ARGV server, session, address, most sessions, most addresses (-1 for any).
 * Answers OK, or what there are too many of: sessions, addresses.
 */
export const ENTER = `
local now = tonumber(redis.call('TIME')[1])
local all = redis.call('HGETALL', KEYS[1])
local own, sessions, addresses, seen = ARGV[1] .. ' ' .. ARGV[2], 0, 0, {}
for index = 1, #all, 2 do
  local server = string.match(all[index], '^%S+')
  local sign = server and tonumber(redis.call('ZSCORE', KEYS[2], server) or '0')
  if not sign or sign < now - ${LEASE} then
    redis.call('HDEL', KEYS[1], all[index])
  elseif all[index] ~= own then
    sessions = sessions + 1
    if not seen[all[index + 1]] then addresses = addresses + 1 end
    seen[all[index + 1]] = true
  end
end
if ARGV[4] ~= '-1' and sessions >= tonumber(ARGV[4]) then return 'sessions' end
if ARGV[5] ~= '-1' and addresses >= tonumber(ARGV[5]) and not seen[ARGV[3]] then return 'addresses' end
redis.call('HSET', KEYS[1], own, ARGV[3])
redis.call('EXPIRE', KEYS[1], 86400)
return 'OK'
`

/** KEYS servers. ARGV server, and what is over in seconds before now. A sign of life. */
export const ALIVE = `
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60)
return now
`
