/** GET /profiles/{id}/identity */
export interface Identity {
  id: string
  asked_for: string
  ids: string[]
  identifiers: { identifier: string; label: string; at: string; event_id: string; profiles: number; shared: boolean }[]
  merges: Merge[]
  apart: string[]
}

export interface Merge {
  id: string
  survivor_id: string
  loser_id: string
  at: string
  undone_at: string | null
  because: { kind?: string; label?: string; event_id?: string; identifier?: string }
  changes: unknown[]
}

/** GET /erasures/{id} */
export interface Erasure {
  id: string
  kind: 'erase' | 'suppress' | 'lift'
  state: 'removing' | 'done'
  suppressed: boolean
  asked_at: string
  done_at: string | null
  removed: Record<string, number>
  kafka: { gone_at: string | null; note: string } | null
}

/** Of POST /conditions/explain */
export interface Part {
  condition: string
  kind: string
  verdict?: 'true' | 'false' | 'unknown' | null
  seen?: { field: string; state: string; value?: unknown }[]
  parts?: Part[]
}
