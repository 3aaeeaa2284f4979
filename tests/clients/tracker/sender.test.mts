import assert from 'node:assert/strict'
import test from 'node:test'

import { Queue } from '../../../hub/tracker/src/queue.ts'
import { add, sending, SHARED, storage, TestWorld } from './world.mts'

function filled(count: number): Queue {
  const queue = new Queue(storage(), 'page-1', () => SHARED)
  for (let n = 0; n < count; n++) add(queue, n)
  return queue
}

test('all is sent in order, 50 events a request, one request after the other', async () => {
  const world = new TestWorld()
  const queue = filled(120)
  await sending(world, queue).now()
  assert.deepEqual(world.sent.flat(), [...Array(120).keys()])
  assert.deepEqual(world.sent.map((numbers) => numbers.length), [50, 50, 20])
  assert.equal(queue.length, 0)
  assert.equal(world.bodies[0]!.sentAt, '1970-01-01T00:16:40.000Z')
})

test('what is not answered is sent again, the same under the same ids, ever more seldom', async () => {
  const world = new TestWorld()
  world.answers = ['nobody', 503, 500, 401, 429]
  const queue = filled(3)
  await sending(world, queue).now()
  for (let n = 0; n < 5; n++) await world.goOn()
  assert.equal(world.bodies.length, 6)
  assert.equal(new Set(world.bodies.map((body) => JSON.stringify(body))).size, 1)
  assert.deepEqual(world.waits, [750, 1_500, 3_000, 6_000, 12_000])
  assert.equal(queue.length, 0)
  assert.equal(world.warnings.length, 1)
})

test('it waits a minute at most, and as long as the hub asks', async () => {
  const world = new TestWorld()
  world.answers = [...Array(12).fill(503), { status: 503, retryAfter: '300' }]
  await sending(world, filled(1)).now()
  for (let n = 0; n < 12; n++) await world.goOn()
  assert.equal(world.waits.at(-2), 45_000)
  assert.equal(world.waits.at(-1), 315_000)
})

test('one event that is refused is left out, the others are not', async () => {
  const world = new TestWorld()
  world.answers = [422, 200, 413, 200]
  const queue = filled(60)
  const settled: (number | null)[] = []
  await sending(world, queue, (status) => settled.push(status)).now()
  assert.deepEqual(world.sent.slice(0, 5).map((numbers) => numbers.length), [50, 1, 1, 1, 1])
  assert.deepEqual(world.sent.at(-1), [50, 51, 52, 53, 54, 55, 56, 57, 58, 59])
  assert.equal(settled.filter((status) => status === 413).length, 1)
  assert.equal(queue.length, 0)
  assert.match(world.warnings[0]!, /refuses sale/)
})

test('a page that is left gives the browser what is not on its way, and forgets nothing', async () => {
  const world = new TestWorld()
  const queue = filled(80)
  const sender = sending(world, queue)
  void sender.now() // 50 are on their way
  sender.leave()
  assert.deepEqual(world.beacons.map((body) => JSON.parse(body).events.length), [30])
  assert.equal(queue.length, 80)
  const small = filled(0)
  for (let n = 0; n < 3; n++) add(small, n, 0, { text: 'x'.repeat(40_000) })
  sending(world, small).leave()
  assert.equal(world.beacons.length, 2) // browsers carry no more
})

test('how many there was no room for is told once', async () => {
  const world = new TestWorld()
  const queue = filled(2_001)
  await sending(world, queue).now()
  assert.equal(world.bodies[0]!.request.dropped, 1)
  assert.equal(world.bodies[1]!.request.dropped, undefined)
})

test('events of a moment go together', async () => {
  const world = new TestWorld()
  const queue = filled(1)
  const sender = sending(world, queue)
  sender.soon(50)
  add(queue, 1)
  sender.soon(50)
  await world.goOn()
  assert.deepEqual(world.sent, [[0, 1]])
  assert.deepEqual(world.waits, [50])
})
