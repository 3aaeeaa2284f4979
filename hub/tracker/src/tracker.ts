// The tracker of a page: joins the parts.

import { Consent } from './consent.ts'
import { eventContext, payloadContext } from './context.ts'
import { Identity } from './identity.ts'
import { uuid7 } from './ids.ts'
import { completeLinks } from './links.ts'
import type { Options, Ref } from './options.ts'
import { type Batch, Queue, type TrackedEvent } from './queue.ts'
import { type Answer, Sender, type World } from './sender.ts'
import { storeOf } from './store.ts'
import { setTriggers } from './triggers.ts'

export interface EventOptions {
  /** Send it at once, with what waits before it. */
  fire?: boolean
  /** As `fire`: every request outlives its page where the browser can do that. */
  asBeacon?: boolean
  async?: boolean
  /** Goes into the event's context. */
  context?: Record<string, unknown>
  [more: string]: unknown
}

/** Events of a moment go together. */
const TOGETHER_MS = 50
/** Most events that wait for a person's consent. */
const MOST_HELD = 100

export class Tracker {
  private readonly options: Options
  private readonly consented: Consent
  private readonly identity: Identity
  private readonly queue: Queue
  private readonly sender: Sender
  private readonly ready: (answer: unknown) => void
  private readonly waiting = new Map<string, (answer: Answer) => void>()
  private held: TrackedEvent[] = []
  private isReady = false
  private isTold = false

  /** `ready` is called once: with the answer to the page's first events, or null if there is none. */
  constructor(options: Options, world: World, ready: (answer: unknown) => void) {
    const store = storeOf(() => localStorage)
    const { tracker } = options
    this.options = options
    this.ready = ready
    this.consented = new Consent(store, tracker.settings)
    this.identity = new Identity(store, tracker.profile)
    this.queue = new Queue(store, uuid7(Date.now()), () => ({
      api: tracker.url.api,
      source: tracker.source.id,
      context: payloadContext(options, store),
      options: { ...window.response?.context },
    }))
    const who = (session: string): Ref | null => (session === this.identity.current() ? this.identity.profile() : null)
    this.sender = new Sender(this.queue, world, who, (batch, answer) => this.settled(batch, answer))
  }

  /** Takes an event. The promise is kept when the hub has it, or refuses it; nothing where nothing may be sent. */
  track = (type: string, properties?: Record<string, unknown>, options?: EventOptions): Promise<Answer | undefined> => {
    const given = this.consented.given
    if (given === false) return Promise.resolve(undefined)
    const { context, ...rest } = options ?? {}
    const now = Date.now()
    const event: TrackedEvent = {
      id: uuid7(now),
      type,
      time: { create: new Date(now).toISOString() },
      properties: properties ?? {},
      context: eventContext(this.options.tracker.context ?? {}, context),
      options: rest,
    }
    if (given === null) {
      if (this.held.length < MOST_HELD) this.held.push(event)
      return Promise.resolve(undefined)
    }
    if (!this.take(event)) return Promise.resolve(undefined)
    if (options?.fire || options?.asBeacon) void this.sender.now()
    else if (this.isReady) this.sender.soon(TOGETHER_MS)
    return new Promise((resolve) => this.waiting.set(event.id, resolve))
  }

  /** What the person has said. No: what is known of him here is removed. */
  consent = (yes: boolean): void => {
    this.consented.say(yes)
    const held = this.held.splice(0)
    if (this.consented.given) {
      for (const event of held) this.take(event)
      void this.sender.now()
    } else {
      this.queue.clear()
      this.identity.forget()
      this.waiting.clear()
    }
  }

  /** The document is there: send what has come so far, also of pages before this one. */
  start(): void {
    const { settings, auto, source, url } = this.options.tracker
    this.isReady = true
    if (this.consented.never) return this.tell(null)
    const links = settings?.trackExternalLinks
    const who = (): Record<string, string | undefined> => ({
      __tr_pid: (this.consented.given && this.identity.profile()?.id) || undefined,
      __tr_sid: this.identity.current(),
      __tr_src: source.id,
    })
    if (links?.length) completeLinks(links, who)
    for (const [type, properties] of auto?.events ?? []) void this.track(type, properties)
    setTriggers(auto?.triggers ?? [], (type, properties) => void this.track(type, properties, { fire: true }))
    const again = (): void => {
      if (!this.consented.given) return
      this.queue.adopt(url.api, Date.now())
      void this.sender.now()
    }
    addEventListener('online', again)
    addEventListener('pageshow', (event) => {
      if (!event.persisted) return
      this.queue.say(Date.now(), false)
      again()
    })
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'hidden') void this.sender.now()
    })
    addEventListener('pagehide', () => {
      this.sender.leave()
      this.queue.say(Date.now(), true)
    })
    again()
    if (!this.queue.length) this.tell(null)
  }

  private take(event: TrackedEvent): boolean {
    const kept = { session: this.identity.session(), profile: this.identity.profile(), event }
    const taken = this.queue.add(kept, Date.now())
    if (!taken) console.warn('[tracker] there is no room for more events')
    return taken
  }

  private settled(batch: Batch, answer: Answer | null): void {
    const data = answer && answer.status < 300 ? (answer.data as { profile?: Ref | null } | null) : null
    // who has said no meanwhile stays forgotten
    if (this.consented.given && batch.session === this.identity.current()) this.identity.keep(data?.profile?.id)
    if (answer) {
      for (const { event } of batch.items) {
        this.waiting.get(event.id)?.(answer)
        this.waiting.delete(event.id)
      }
    }
    this.tell(data)
  }

  private tell(answer: unknown): void {
    if (this.isTold) return
    this.isTold = true
    this.ready(answer)
  }
}
