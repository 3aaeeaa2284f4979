/** Answers of GET /events/{id}/trace, as docs/trace.md has them. Parts are not there for dead letters. */

import type { Edge } from '../../parts/cameThrough'

export interface By {
  id: string
  version: number
  changed_since: boolean
}

export interface Change {
  field: string
  op: string
  before?: unknown
  after?: unknown
  appended?: unknown
  mappings: By[]
}

/** What one rule did. `rule`: kind and id. */
export interface Did {
  rule: string
  did: 'flagged' | 'invalid' | 'removed' | 'hashed' | 'reshaped' | 'failed'
  field: string
  detail: string
}

export interface Decision {
  identifier: string
  label: string
  did: string
  other?: string
}

export interface Neighbour {
  id: string
  type: string
  time: string
  same_payload: boolean
}

export interface Trace {
  id: string
  kind: 'event' | 'dead-letter'
  type?: string
  edge: Edge & {
    source: string
    payload_id: string
    client_id?: string | null
    received_at: string
  }
  log: {
    topic: string
    epoch: number
    partition: number
    offset: number
    place: number
    note: string
    record: { at: string; key: string; value_bytes: number; readable: boolean } | null
  }
  validation?: { flags: { flag: string; meaning: string }[] }
  rules?: Did[]
  mappings?: { definitions: number; changes: Change[]; problems: { mapping: string; field: string; detail: string }[] }
  identity?: { sent_as: string | null; forwarded_for: string | null; decisions: Decision[]; profile_now: string | null }
  segments?: { looked: { id: string; did: string; version: number | null; changed_since: boolean; because: string[] }[] } | null
  flows?: { triggered: { id: string; version: number; run: string }[]; may_end_pauses: boolean } | null
  profile?: { id: string; version: number; created: boolean; version_now: number | null } | null
  session?: { id: string; profile: string | null; began_at: string | null } | null
  payload_events: { place: number; id: string; type: string }[] | null
  neighbours?: { before: Neighbour[]; after: Neighbour[] }
  dead_letter?: { status: string; reason: string; detail: string; stage: string; attempts: number; first_at: string; at: string }
  times: { step: string; at: string; after_ms: number | null; clock: string }[]
}
