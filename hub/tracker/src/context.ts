// What the browser tells of the page, the screen and itself, as the predecessor's tracker says it.

import type { Contexts, Options } from './options.ts'
import { cookie, type Store } from './store.ts'

type Said = Record<string, unknown>

const UTM = ['source', 'medium', 'campaign', 'term', 'content']

/** Of a payload, and so of its session. */
export function payloadContext(options: Options, store: Store): Said {
  const wanted: Contexts = options.tracker.context ?? {}
  const query = new URLSearchParams(location.search)
  const said: Said = { time: { local: new Date().toLocaleString(), tz: timeZone() } }
  if (options.context) said.device = options.context
  if (wanted.browser !== false) said.browser = { local: browser() }
  if (wanted.screen !== false) said.screen = { local: screenOf() }
  if (wanted.utm !== false) add(said, 'utm', picked(query, 'utm_', UTM))
  if (wanted.tracardiPass !== false) {
    // the session is the proof: the hub believes nobody who only knows a profile's id
    const names = { profile: '__tr_pid', session: '__tr_sid', source: '__tr_src' }
    const pass: Said = {}
    for (const [name, parameter] of Object.entries(names)) if (query.has(parameter)) pass[name] = query.get(parameter)
    if (Object.keys(pass).length) said.tracardi = { pass }
  }
  if (wanted.performance) add(said, 'performance', timing())
  const stored: Said = {}
  if (wanted.storage) stored.local = Object.fromEntries(store.keys().map((key) => [key, store.get(key)]))
  if (wanted.cookies) stored.cookies = document.cookie
  add(said, 'storage', stored)
  const ga = cookie('_ga')
  if (ga) said.ids = { ga }
  return said
}

/** Of an event: the page that it happened on, and what the hub makes event fields of. */
export function eventContext(wanted: Contexts, more: unknown): Said {
  const said: Said = { time: { tz: timeZone() } }
  if (wanted.page !== false) said.page = page()
  return { ...said, ...(more as Said | undefined) }
}

function page(): Said {
  return {
    url: location.href,
    path: location.pathname,
    hash: location.hash,
    title: document.title,
    referer: referer(),
    history: { length: history.length },
  }
}

/** The other site that led here. */
function referer(): Said {
  try {
    const from = new URL(document.referrer)
    if (from.host !== location.host) {
      return { host: from.host, query: from.searchParams.get('q') ?? from.searchParams.get('p') }
    }
  } catch {
    // there is none
  }
  return { host: null, query: null }
}

function screenOf(): Said {
  const { width, height, availWidth, availHeight, colorDepth, pixelDepth, orientation } = screen
  return {
    width,
    height,
    innerWidth,
    innerHeight,
    availWidth,
    availHeight,
    colorDepth,
    pixelDepth,
    orientation: orientation?.type ?? 'n/a',
  }
}

function browser(): Said {
  const { userAgent, language, onLine, cookieEnabled, appName, appVersion, product, platform } = navigator
  return {
    browser: { name: appName, engine: product, appVersion, userAgent, language, onLine, cookieEnabled },
    device: { platform },
  }
}

function timeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** Milliseconds since the page was asked for. */
function timing(): Said {
  const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  if (!entry) return {}
  const { responseStart, domContentLoadedEventEnd, loadEventEnd } = entry
  return { responseStart, domContentLoadedEventEnd, loadEventEnd }
}

function picked(query: URLSearchParams, prefix: string, names: string[]): Said {
  const said: Said = {}
  for (const name of names) if (query.has(prefix + name)) said[name] = query.get(prefix + name)
  return said
}

function add(said: Said, name: string, value: Said): void {
  if (Object.keys(value).length) said[name] = value
}
