// Sends orders with one vendor's client for Node.js or browsers: `sending.cjs CLIENT URL KEY COUNT`. See sending.py.
'use strict'

const START_MS = Date.UTC(2026, 2, 1)
const CUSTOMERS = 50
const failures = []
const failed = (error) => error && failures.push(String(error))

const line = () => new Promise((done) => process.stdin.once('data', done))

async function send(count, one) {
  for (let n = 0; n < count; n++) {
    if (n === count / 2) {
      console.log('half')
      await line()
    }
    await one(n, `customer-${n % CUSTOMERS}`, new Date(START_MS + n * 1000))
  }
}

// What a promise and a callback are to each of `count` calls: the client has delivered it, or has given up.
function deliveries(count) {
  let open = count
  let done
  const all = new Promise((resolve) => { done = resolve })
  return { all, one: (error) => { failed(error); if (--open === 0) done() } }
}

async function segment(url, key, count) {
  const { Analytics } = require('@segment/analytics-node')
  const client = new Analytics({ writeKey: key, host: url, flushAt: 50, flushInterval: 200 })
  client.on('error', failed)
  const { all, one } = deliveries(count)
  await send(count, (n, userId, timestamp) =>
    client.track({ userId, event: 'Order Done', properties: { n }, timestamp, messageId: `order-${n}` }, one))
  await all
  await client.closeAndFlush()
}

async function rudder(url, key, count) {
  const Client = require('@rudderstack/rudder-sdk-node')
  const client = new Client(key, { dataPlaneUrl: url, flushAt: 50, flushInterval: 200, errorHandler: failed })
  const { all, one } = deliveries(count)
  await send(count, (n, userId, originalTimestamp) =>
    client.track({ userId, event: 'Order Done', properties: { n }, originalTimestamp, messageId: `order-${n}` }, one))
  await all
}

async function posthog(url, key, count) {
  const { PostHog } = require('posthog-node')
  const { createHash } = require('crypto')
  const client = new PostHog(key, { host: url, flushAt: 50, flushInterval: 200 })
  client.on('error', failed)
  await send(count, (n, distinctId, timestamp) => {
    const hex = createHash('sha1').update(`${key}-${n}`).digest('hex')
    const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
    client.capture({ distinctId, event: 'Order Done', properties: { n }, timestamp, uuid })
  })
  await client.shutdown()
}

async function cloudevents(url, key, count) {
  const { CloudEvent, emitterFor, httpTransport, Mode } = require('cloudevents')
  const transport = httpTransport(`${url}/cloudevents?key=${key}`)
  const emitters = [emitterFor(transport), emitterFor(transport, { mode: Mode.STRUCTURED })]
  await send(count, async (n, subject, time) => {
    const event = new CloudEvent({
      type: 'Order Done', source: '/orders', id: `order-${n}`, subject, time: time.toISOString(), data: { n },
    })
    await emitters[n % 2](event)
  })
}

// Segment's client for browsers, in a page of jsdom. Where to send it learns from the hub's settings of the page.
async function browser(url, key, count, strategy) {
  const { JSDOM } = require('jsdom')
  const { window } = new JSDOM('<!doctype html><html><body></body></html>', { url: 'https://shop.example/' })
  for (const name of ['document', 'localStorage', 'sessionStorage', 'location', 'self']) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true })
  }
  Object.defineProperty(globalThis, 'navigator', { value: window.navigator, configurable: true })
  globalThis.window = window
  window.fetch = globalThis.fetch
  const { AnalyticsBrowser } = require('@segment/analytics-next')
  const deliveryStrategy = strategy && { strategy, config: { size: 50, timeout: 200 } }
  const [client] = await AnalyticsBrowser.load(
    { writeKey: key, cdnURL: url },
    { integrations: deliveryStrategy ? { 'Segment.io': { deliveryStrategy } } : {}, disableClientPersistence: true })
  client.on('error', (error) => failed(JSON.stringify(error.reason?.message ?? error)))
  await send(count, async (n, anonymousId, timestamp) => {
    await client.track('Order Done', { n }, { anonymousId, timestamp, messageId: `order-${n}` })
  })
  await new Promise((done) => setTimeout(done, 2000)) // a page says nothing when it has sent its last batch
}

const CLIENTS = {
  'segment-node': segment,
  'rudder-node': rudder,
  'posthog-node': posthog,
  'cloudevents-node': cloudevents,
  'segment-browser': browser,
  'segment-browser-batches': (url, key, count) => browser(url, key, count, 'batching'),
}

const [client, url, key, count] = process.argv.slice(2)
CLIENTS[client](url, key, Number(count)).catch(failed).finally(() => {
  console.log(`failed: ${JSON.stringify(failures)}`)
  process.exit(0)
})
