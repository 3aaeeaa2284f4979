/** Answers of /segments and /conditions, as /openapi.json describes them. */

export interface Backfill {
  version: number
  state: string
  of: number | null
  looked: number
  asked: number
  asked_at: string | null
  started_at: string | null
  ended_at: string | null
  error: string
}

export interface SegmentSummary {
  id: string
  name: string
  description: string
  enabled: boolean
  condition: string | null
  flows: string[]
  version: number
  updated_at: string
  size: number
}

export interface SegmentState extends SegmentSummary {
  backfill: Backfill | null
}

export interface SegmentSpec {
  name: string
  description: string
  enabled: boolean
  condition: string | null
}

export type Verdict = 'true' | 'false' | 'unknown'

/** A part of a condition; `verdict` if it was tried on a document. */
export interface Part {
  condition: string
  kind: string
  verdict?: Verdict | null
  seen?: { field: string; state: string; value?: unknown }[]
  parts?: Part[]
}

export interface Membership {
  since: string
  event: string | null
  by: string
  definition: number
  flow?: string
  run?: string
}

/** What of a profile these pages show. */
export interface Member {
  id: string
  data?: { pii?: Record<string, unknown>; contact?: { email?: Record<string, unknown> } }
  metadata?: { segments?: Record<string, Membership> }
}

export interface Previewed {
  count: number
  total: number
  exact: boolean
  looked: number
  sample: Member[]
  profile: { id: string; matches: boolean; parts: Part | null; membership: Membership | null } | null
  flows: string[]
  warnings: string[]
}
