// What the tracker's parts stand on in tests: a storage that several pages share, and a hub with a clock.

import { Queue, type Shared } from '../../../hub/tracker/src/queue.ts'
import { type Answer, Sender, type World } from '../../../hub/tracker/src/sender.ts'
import type { Store } from '../../../hub/tracker/src/store.ts'

export const SHARED: Shared = { api: 'https://hub.example', source: 'shop', context: {}, options: {} }

export function storage(): Store & { items: Map<string, string> } {
  const items = new Map<string, string>()
  return {
    items,
    get: (key) => items.get(key) ?? null,
    set: (key, value) => (items.set(key, value), true),
    remove: (key) => void items.delete(key),
    keys: () => [...items.keys()],
  }
}

export function add(queue: Queue, n: number, nowMs = 0, more: Record<string, unknown> = {}): boolean {
  const event = { id: `e${n}`, type: 'sale', time: { create: '' }, properties: { n, ...more }, context: {}, options: {} }
  return queue.add({ session: 's1', profile: null, event }, nowMs)
}

/** A hub that answers each request as `answers` says, then 200; and time that goes on when it is told to. */
export class TestWorld implements World {
  answers: (number | 'nobody' | { status: number; retryAfter: string })[] = []
  bodies: { events: { id: string; properties: { n: number } }[]; request: Record<string, unknown>; sentAt: string }[] = []
  beacons: string[] = []
  warnings: string[] = []
  waits: number[] = []
  private task: (() => void) | null = null

  async post(_url: string, body: string): Promise<Answer & { retryAfter: string | null }> {
    this.bodies.push(JSON.parse(body))
    const next = this.answers.shift() ?? 200
    if (next === 'nobody') throw new TypeError('Failed to fetch')
    const { status, retryAfter } = typeof next === 'number' ? { status: next, retryAfter: null } : next
    return { status, data: { profile: { id: 'p1' } }, retryAfter }
  }
  beacon(_url: string, body: string): boolean {
    this.beacons.push(body)
    return true
  }
  wait(ms: number, task: () => void): () => void {
    this.waits.push(ms)
    this.task = task
    return () => (this.task = null)
  }
  now = (): number => 1_000_000
  random = (): number => 0.5
  warn = (text: string): void => void this.warnings.push(text)

  /** The wait is over; returns when what follows has been done. */
  async goOn(): Promise<void> {
    this.task?.()
    for (let i = 0; i < 1_000; i++) await null
  }
  /** The numbers of events by request. */
  get sent(): number[][] {
    return this.bodies.map((body) => body.events.map((event) => event.properties.n))
  }
}

export function sending(world: TestWorld, queue: Queue, settled: (status: number | null) => void = () => {}): Sender {
  return new Sender(queue, world, () => null, (_, answer) => settled(answer?.status ?? null))
}
