// Sends what waits, one request after the other, so that events stay in order; tries again until the hub has it.

import type { Batch, Profile, Queue } from './queue.ts'

export interface Answer {
  status: number
  data: unknown
}

/** How the sender reaches the world: in a browser, or in a test. */
export interface World {
  /** Throws when there is no answer. `keepalive`: goes on when the page does not. */
  post(url: string, body: string, keepalive: boolean): Promise<Answer & { retryAfter: string | null }>
  beacon(url: string, body: string): boolean
  wait(ms: number, task: () => void): () => void
  now(): number
  /** 0 up to 1. */
  random(): number
  warn(text: string): void
}

const MOST_EVENTS = 50
/** Browsers carry 64 KiB in all for pages that are closed. */
const MOST_BYTES = 48_000
const CARRIED_BYTES = 60_000
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000
/** Answers that say that the events are at fault, and not the hub or its settings: again would not help. */
const AT_FAULT = [400, 413, 422]

export class Sender {
  private readonly queue: Queue
  private readonly world: World
  private readonly profile: Profile
  private readonly settled: (batch: Batch, answer: Answer | null) => void
  private sending: Batch | null = null
  private failures = 0
  /** How many events still go one by one, to find the one at fault in a batch that was refused. */
  private alone = 0
  private stop: (() => void) | null = null

  /**
   * `profile` is who has a session whose event was tracked before that was known. `settled` hears of every try: null for
   * one without an answer, which will be tried again.
   */
  constructor(
    queue: Queue,
    world: World,
    profile: Profile,
    settled: (batch: Batch, answer: Answer | null) => void,
  ) {
    this.queue = queue
    this.world = world
    this.profile = profile
    this.settled = settled
  }

  /** Send in so many milliseconds, with whatever comes until then. Waiting after a failure goes on. */
  soon(ms: number): void {
    if (!this.stop && !this.sending) this.again(ms)
  }

  /** Send at once, also while waiting after a failure. */
  async now(): Promise<void> {
    this.stop?.()
    this.stop = null
    if (this.sending) return
    for (;;) {
      const batch = this.queue.head(this.alone ? 1 : MOST_EVENTS, MOST_BYTES, this.profile)
      if (!batch) return
      this.sending = batch
      const goOn = await this.one(batch)
      this.sending = null
      if (!goOn) return
    }
  }

  /** The page may be gone in a moment: hand the browser what it will carry. It stays in the queue all the same. */
  leave(): void {
    let room = CARRIED_BYTES - (this.sending?.size ?? 0)
    for (const batch of this.queue.others(this.sending, MOST_EVENTS, MOST_BYTES, this.profile)) {
      const body = this.body(batch)
      room -= body.length
      if (room < 0 || !this.world.beacon(`${batch.shared.api}/track`, body)) return
    }
  }

  private async one(batch: Batch): Promise<boolean> {
    let answer: (Answer & { retryAfter: string | null }) | null = null
    try {
      answer = await this.world.post(`${batch.shared.api}/track`, this.body(batch), batch.size <= MOST_BYTES)
    } catch {
      // no network, or nobody there
    }
    const status = answer?.status ?? 0
    if (status >= 200 && status < 300) {
      this.failures = 0
      this.alone = Math.max(0, this.alone - 1)
      this.queue.dropped = 0
      this.queue.remove(batch.items)
      this.settled(batch, answer)
      return true
    }
    if (AT_FAULT.includes(status)) {
      if (batch.items.length > 1) {
        this.alone = batch.items.length
        return true
      }
      this.alone = Math.max(0, this.alone - 1)
      this.world.warn(`the hub refuses ${batch.items[0]!.event.type}: ${JSON.stringify(answer!.data)}`)
      this.queue.remove(batch.items)
      this.settled(batch, answer)
      return true
    }
    if (!this.failures++) this.world.warn(`the hub cannot take events now (${status || 'no answer'}); they wait`)
    this.settled(batch, null)
    const backOff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.failures - 1))
    const asked = Number(answer?.retryAfter) * 1_000 || 0
    // pages that failed together do not come back together
    this.again(Math.max(asked, backOff / 2) + (backOff / 2) * this.world.random())
    return false
  }

  private again(ms: number): void {
    this.stop?.()
    this.stop = this.world.wait(ms, () => {
      this.stop = null
      void this.now()
    })
  }

  private body(batch: Batch): string {
    const { shared, session, profile, items } = batch
    return JSON.stringify({
      source: { id: shared.source },
      session: { id: session },
      profile,
      context: shared.context,
      options: shared.options,
      sentAt: new Date(this.world.now()).toISOString(), // so that the hub can put a wrong clock right
      request: this.queue.dropped ? { dropped: this.queue.dropped } : {},
      events: items.map((item) => item.event),
    })
  }
}
