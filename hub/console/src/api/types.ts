/** Answers of the hub, as /openapi.json describes them. Pages keep what only they need in their own folders. */

export type Role = 'collect' | 'read' | 'operate' | 'admin'

/** GET /console/session */
export interface Session {
  key: string
  name: string
  roles: Role[]
  namespace: string
  version: string
}

export interface Outcomes {
  received: number
  stored: number
  duplicate: number
  dropped: number
  dead: number
}

/** GET /balance */
export interface Balance {
  totals: Outcomes & { in_flight: number }
  balanced: boolean
  causes: string[]
  gaps: { partition: number; first: number; last: number }[]
  sources: (Outcomes & { source: string })[]
  rows_from: string
  rows: (Outcomes & { source: string; minute: string })[]
}

/** GET /ready */
export interface Ready {
  ready: boolean
  checks: string[]
}

/** One of GET /bridges */
export interface Bridge {
  id: string
  name: string
  type: string
  source: string
  enabled: boolean
  state: string
  hint: string
  last_error: string | null
  received: number
  forwarded: number
  lag: number | null
}
