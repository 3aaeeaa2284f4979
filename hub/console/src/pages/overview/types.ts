import type { Outcomes } from '../../api/types'

/** Seconds, upper bounds of a histogram's buckets; null: nothing was measured. */
export interface Latency {
  p50: number | null
  p99: number | null
  count: number
}

export interface Process {
  id: string
  kind: string
  host: string
  pid: number
  version: string
  since: string
  state: string
  detail: string
  memory_bytes: number
  last_error: string | null
  last_error_at: string | null
}

export interface Kind {
  kind: string
  alive: number
  waiting: number
}

export interface Steered {
  states: Record<string, number>
  worst: { id: string; state: string; error: string; at: string }[]
}

export interface Tasks {
  running: number
  waiting: number
  items: { id: string; kind: string; state: string; asked_at: string }[]
}

export interface DeadLetters {
  open: number
  reasons: Record<string, number>
}

/** `in_flight` is known with Kafka only. */
export type Totals = Outcomes & { in_flight?: number }

/** GET /overview: what is not known is null, and why is in `missing`. */
export interface Told {
  at: string
  totals: Totals | null
  balanced: boolean | null
  causes: string[]
  rates: Outcomes | null
  lag: { records: number; seconds: number | null } | null
  latency: Latency | null
  edge_latency: Latency | null
  edge_rate: number | null
  kinds: Kind[] | null
  processes: Process[] | null
  bridges: Steered | null
  destinations: Steered | null
  tasks: Tasks | null
  dead_letters: DeadLetters | null
  missing: Record<string, string>
}
