// Events that the hub does not have yet: in memory, and in localStorage until it has acknowledged them.
//
// Each page writes keys of its own, so two tabs never overwrite each other. What a page leaves behind, the next one
// takes over; if both send it, the hub stores it once, as an event's id is made when it happens and never again.

import type { Ref } from './options.ts'
import type { Store } from './store.ts'

export interface TrackedEvent {
  id: string
  type: string
  time: { create: string }
  properties: Record<string, unknown>
  context: Record<string, unknown>
  options: Record<string, unknown>
}

/** What the events of one page have in common. */
export interface Shared {
  api: string
  source: string
  context: Record<string, unknown>
  options: Record<string, unknown>
}

interface Kept {
  session: string
  profile: Ref | null
  event: TrackedEvent
}

/** Who has a session, as far as that is known by now. */
export type Profile = (session: string) => Ref | null

interface Item extends Kept {
  key: string
  shared: Shared
  size: number
}

/** Events for one request: of one page, session and profile, in order. */
export interface Batch {
  items: readonly Item[]
  shared: Shared
  session: string
  profile: Ref | null
  size: number
}

const PAGE = 'tracardi-page-'
const EVENT = 'tracardi-event-'

/** Most events that wait, and most bytes of them: browsers give a site 5 million characters. */
export const MOST_EVENTS = 2_000
export const MOST_BYTES = 2_000_000
/** A page that has not said goodbye (a crash) and was not heard of for so long is taken to be gone. */
const SILENT_MS = 60_000

const bytes = (text: string): number => new TextEncoder().encode(text).length

export class Queue {
  private readonly store: Store
  private readonly page: string
  private readonly shared: () => Shared
  private items: Item[] = []
  private size = 0
  private count = 0
  private own: Shared | undefined
  /** Events that there was no room for. */
  dropped = 0

  /** `page` is an id that sorts by time; `shared` is asked once, with the first event. */
  constructor(store: Store, page: string, shared: () => Shared) {
    this.store = store
    this.page = page
    this.shared = shared
  }

  get length(): number {
    return this.items.length
  }

  /** False: there is no room; the oldest are kept, as what follows may not be understood without them. */
  add(kept: Kept, nowMs: number): boolean {
    const text = storable(JSON.stringify(kept))
    const size = bytes(text)
    if (this.items.length >= MOST_EVENTS || this.size + size > MOST_BYTES) {
      this.dropped += 1
      return false
    }
    this.own ??= this.shared()
    const isFirst = !this.items.length
    const key = `${EVENT}${this.page}-${String(this.count++).padStart(8, '0')}`
    // the copy says what was true when it happened, whatever the page does to its objects afterwards
    this.push({ ...(JSON.parse(text) as Kept), key, shared: this.own, size })
    // before the event: without it nobody knows whose it is
    if (isFirst || this.count % 100 === 0) this.say(nowMs, false)
    this.store.set(key, text) // where it is refused, the event lives as long as the page
    return true
  }

  /** The next events to send, at most so many and so large; one event alone may be larger. Null: there are none. */
  head(mostEvents: number, mostBytes: number, profile: Profile): Batch | null {
    return cut(this.items, mostEvents, mostBytes, profile)
  }

  /** All batches but that which is on its way. */
  *others(sending: Batch | null, mostEvents: number, mostBytes: number, profile: Profile): Generator<Batch> {
    let left = sending ? this.items.filter((item) => !sending.items.includes(item)) : this.items
    for (let batch; (batch = cut(left, mostEvents, mostBytes, profile)); left = left.slice(batch.items.length)) yield batch
  }

  /** The hub has them, or will never take them. */
  remove(items: readonly Item[]): void {
    const gone = new Set(items)
    for (const item of items) this.store.remove(item.key)
    this.items = this.items.filter((item) => !gone.has(item))
    this.size = this.items.reduce((sum, item) => sum + item.size, 0)
  }

  /** What pages before have left, of the same hub: it comes first, as it happened first. */
  adopt(api: string, nowMs: number): void {
    const keys = this.store.keys()
    const found: Item[] = []
    const known = new Set(this.items.map((item) => item.key))
    for (const pageKey of keys.filter((key) => key.startsWith(PAGE)).sort()) {
      const page = pageKey.slice(PAGE.length)
      const record = parsed<{ closed: boolean; at: number; shared: Shared }>(this.store.get(pageKey))
      if (page === this.page || (record && !record.closed && nowMs - record.at < SILENT_MS)) continue
      const mine = keys.filter((key) => key.startsWith(`${EVENT}${page}-`)).sort()
      if (!record || !mine.length) this.store.remove(pageKey)
      if (record?.shared.api !== api) continue
      for (const key of mine) {
        const text = this.store.get(key)
        const kept = parsed<Kept>(text)
        if (kept && !known.has(key)) found.push({ ...kept, key, shared: record.shared, size: bytes(text!) })
      }
    }
    this.items.unshift(...found)
    this.size += found.reduce((sum, item) => sum + item.size, 0)
  }

  /** Whether this page is on its way out: then the next one need not wait before it adopts what is left. */
  say(nowMs: number, closed: boolean): void {
    if (!this.items.length) this.store.remove(PAGE + this.page)
    else if (this.own) this.store.set(PAGE + this.page, JSON.stringify({ closed, at: nowMs, shared: this.own }))
  }

  /** Everything, of all pages. */
  clear(): void {
    for (const key of this.store.keys()) if (key.startsWith(EVENT) || key.startsWith(PAGE)) this.store.remove(key)
    this.items = []
    this.size = 0
  }

  private push(item: Item): void {
    this.items.push(item)
    this.size += item.size
  }
}

/** The first events of a list that can share a request. */
function cut(items: readonly Item[], mostEvents: number, mostBytes: number, profile: Profile): Batch | null {
  const first = items[0]
  if (!first) return null
  const who = (item: Item): Ref | null => item.profile || profile(item.session)
  const id = who(first)?.id
  let size = bytes(JSON.stringify(first.shared))
  let end = 0
  for (; end < items.length && end < mostEvents; end++) {
    const item = items[end]!
    if (item.shared !== first.shared || item.session !== first.session || who(item)?.id !== id) break
    if (end && size + item.size > mostBytes) break
    size += item.size
  }
  return { items: items.slice(0, end), shared: first.shared, session: first.session, profile: who(first), size }
}

/** The hub, and many a store behind it, refuses U+0000 and halves of characters, as a cut title has them. */
function storable(json: string): string {
  return json.replace(/\\(\\|u0000|ud[89a-f]..)/g, (all, what) => (what === '\\' ? all : '\ufffd'))
}

function parsed<T>(text: string | null): T | null {
  try {
    return text ? JSON.parse(text) : null
  } catch {
    return null // written by somebody else
  }
}
