// What a page sees: `window.tracker`, `window.onTracardiReady`, and what the predecessor's snippet asks for.

import { type Options, optionsOf } from './options.ts'
import type { World } from './sender.ts'
import { type EventOptions, Tracker } from './tracker.ts'

type Listener = (page: unknown) => void

interface Ready {
  bind(listener: Listener): void
  call?(page: unknown): void
  q?: Listener[]
}

declare global {
  interface Window {
    tracker?: { track: unknown; q?: Parameters<Tracker['track']>[] }
    tracardi?: { default: unknown }
    onTracardiReady?: Ready
    response?: { context?: Record<string, unknown> }
  }
  // pages declare it with `const`, so it is not a member of window
  // eslint-disable-next-line no-var
  var options: Partial<Options> | undefined
}

/** The hub answers after 31 s at most; behind a proxy that hangs, nobody may. */
const PATIENCE_MS = 45_000

const world: World = {
  async post(url, body, keepalive) {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), PATIENCE_MS)
    try {
      // a text needs no question beforehand whether it may be sent (CORS), so the first event is as fast as any
      const sent = await fetch(url, { method: 'POST', body, keepalive, credentials: 'omit', signal: patience.signal })
      const data: unknown = await sent.json().catch(() => null)
      return { status: sent.status, data, retryAfter: sent.headers.get('Retry-After') }
    } finally {
      clearTimeout(timer)
    }
  },
  beacon: (url, body) => navigator.sendBeacon(url, body),
  wait(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
  now: Date.now,
  random: Math.random,
  warn: (text) => console.warn(`[tracker] ${text}`),
}

/** Whoever binds before or after, hears it once. */
function listeners(): (page: unknown) => void {
  const before = window.onTracardiReady
  if (before?.call) return (page) => before.call!(page) // the predecessor's snippet has its own list
  const waiting = before?.q ?? []
  let told: { page: unknown } | null = null
  window.onTracardiReady = {
    bind: (listener) => void (told ? listener(told.page) : waiting.push(listener)),
  }
  return (page) => {
    told = { page }
    for (const listener of waiting.splice(0)) listener(page)
  }
}

function start(config: Options): void {
  const call = listeners()
  const tracker = new Tracker(config, world, (answer) => {
    call({ tracker: shown, helpers, context: answer, config })
  })
  const listen = (target: EventTarget, name: string, task: EventListener): (() => void) => {
    target.addEventListener(name, task)
    return () => target.removeEventListener(name, task)
  }
  const helpers = {
    track: (type: string, properties?: Record<string, unknown>, more?: EventOptions) =>
      tracker.track(type, properties, { ...more, fire: true }),
    onClick: (target: EventTarget, task: EventListener) => listen(target, 'click', task),
    addListener: listen,
  }
  const shown = {
    track: tracker.track,
    consent: tracker.consent,
    plugins: { tracardi: helpers },
    getState: () => ({ plugins: { tracardi: { initialized: true } } }),
  }
  const early = window.tracker?.q ?? []
  window.tracardi = { default: shown }
  window.tracker = shown
  for (const call of early) void tracker.track(...call)
  // the predecessor's snippet sends what it has when this script has been run: not before
  const begin = (): void => void setTimeout(() => tracker.start())
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', begin)
  else begin()
}

if (!window.tracardi) {
  const found = optionsOf(typeof options === 'object' ? options : undefined, document.currentScript)
  if (typeof found === 'string') console.error(`[tracker] ${found}; nothing is tracked`)
  else start(found)
}
