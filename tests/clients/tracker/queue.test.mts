import assert from 'node:assert/strict'
import test from 'node:test'

import { isWithin } from '../../../hub/tracker/src/links.ts'
import { uuid7 } from '../../../hub/tracker/src/ids.ts'
import { MOST_EVENTS, Queue } from '../../../hub/tracker/src/queue.ts'
import { add, SHARED, storage } from './world.mts'

const numbers = (queue: Queue): unknown[] =>
  [...queue.others(null, 1_000_000, 1e9, () => null)].flatMap((batch) => batch.items.map((item) => item.event.properties.n))

test('what a page has left is taken over in order, before what is new', () => {
  const store = storage()
  const before = new Queue(store, 'page-1', () => SHARED)
  for (let n = 0; n < 12; n++) add(before, n)
  before.say(1, true)
  const after = new Queue(store, 'page-2', () => SHARED)
  add(after, 12)
  after.adopt(SHARED.api, 2)
  assert.deepEqual(numbers(after), [...Array(13).keys()])
  after.adopt(SHARED.api, 3)
  assert.equal(after.length, 13)
})

test('a page that is open keeps its events to itself, unless it has long been silent', () => {
  const store = storage()
  add(new Queue(store, 'page-1', () => SHARED), 0, 1_000)
  const other = new Queue(store, 'page-2', () => SHARED)
  other.adopt(SHARED.api, 2_000)
  assert.equal(other.length, 0)
  other.adopt(SHARED.api, 70_000)
  assert.equal(other.length, 1)
})

test('events of another hub are left alone', () => {
  const store = storage()
  const before = new Queue(store, 'page-1', () => SHARED)
  add(before, 0)
  before.say(0, true)
  const after = new Queue(store, 'page-2', () => SHARED)
  after.adopt('https://other.example', 1)
  assert.equal(after.length, 0)
  after.adopt(SHARED.api, 1)
  assert.equal(after.length, 1)
})

test('what the hub has is kept nowhere', () => {
  const store = storage()
  const queue = new Queue(store, 'page-1', () => SHARED)
  for (let n = 0; n < 5; n++) add(queue, n)
  queue.remove(queue.head(10, 1e9, () => null)!.items)
  queue.say(0, true)
  assert.equal(store.items.size, 0)
})

test('a page that says goodbye with nothing left, and comes back, does not lose its next event', () => {
  const store = storage()
  const queue = new Queue(store, 'page-1', () => SHARED)
  add(queue, 0)
  queue.remove(queue.head(10, 1e9, () => null)!.items)
  queue.say(0, true)
  add(queue, 1)
  const after = new Queue(store, 'page-2', () => SHARED)
  after.adopt(SHARED.api, 100_000)
  assert.deepEqual(numbers(after), [1])
})

test('there is a limit, and the oldest are kept', () => {
  const queue = new Queue(storage(), 'page-1', () => SHARED)
  for (let n = 0; n < MOST_EVENTS; n++) assert.ok(add(queue, n))
  assert.equal(add(queue, -1), false)
  assert.equal(queue.dropped, 1)
  const large = new Queue(storage(), 'page-2', () => SHARED)
  assert.ok(add(large, 0, 0, { text: 'x'.repeat(1_500_000) }))
  assert.equal(add(large, 1, 0, { text: 'x'.repeat(1_500_000) }), false)
})

test('without a storage events wait in memory', () => {
  const none = { get: () => null, set: () => false, remove: () => {}, keys: () => [] }
  const queue = new Queue(none, 'page-1', () => SHARED)
  add(queue, 0)
  assert.equal(queue.length, 1)
})

test('a request has one session and one profile, and no more than there is room for', () => {
  const queue = new Queue(storage(), 'page-1', () => SHARED)
  const event = (id: string) => ({ id, type: 't', time: { create: '' }, properties: {}, context: {}, options: {} })
  queue.add({ session: 's1', profile: null, event: event('a') }, 0)
  queue.add({ session: 's1', profile: { id: 'p1' }, event: event('b') }, 0)
  queue.add({ session: 's2', profile: { id: 'p1' }, event: event('c') }, 0)
  const known = [...queue.others(null, 10, 1e9, (session) => (session === 's1' ? { id: 'p1' } : null))]
  assert.deepEqual(known.map((batch) => batch.items.map((item) => item.event.id)), [['a', 'b'], ['c']])
  assert.equal([...queue.others(null, 10, 1e9, () => null)].length, 3)
  assert.equal([...queue.others(null, 10, 1, () => ({ id: 'p1' }))].length, 3)
})

test('an event is as it was when it happened', () => {
  const queue = new Queue(storage(), 'page-1', () => SHARED)
  const properties = { n: 0, text: 'a\u0000b \ud83d \ud83d\ude00 \\ud83d' }
  const event = { id: 'a', type: 't', time: { create: '' }, properties, context: {}, options: {} }
  queue.add({ session: 's1', profile: null, event }, 0)
  properties.n = 7
  const [item] = queue.head(1, 1e9, () => null)!.items
  assert.deepEqual(item!.event.properties, { n: 0, text: 'a\ufffdb \ufffd \ud83d\ude00 \\ud83d' })
})

test('ids are UUIDs that sort by time', () => {
  const ids = [uuid7(1_700_000_000_000), uuid7(1_700_000_000_001)]
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.ok(ids[0]! < ids[1]!)
  assert.equal(parseInt(ids[0]!.replace('-', '').slice(0, 12), 16), 1_700_000_000_000)
})

test('only a domain and what is below it is within it', () => {
  assert.ok(isWithin('shop.example', 'shop.example'))
  assert.ok(isWithin('www.shop.example', '.Shop.example'))
  assert.ok(!isWithin('evilshop.example', 'shop.example'))
})
