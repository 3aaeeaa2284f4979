/** One of GET /dead-letters */
export interface Letter {
  id: string
  status: 'open' | 'resolved'
  source: string
  reason: string
  detail: string
  stage: 'bridge' | 'collector' | 'destination' | string
  origin: string
  at: string
  first_at: string
  resolved_at: string | null
  attempts: number
  payload_id: string
  key: string | null
  time_ms: number | null
  body_size: number
  headers: Record<string, unknown>
  meta: Record<string, unknown>
  body: string | null
  body_base64: string | null
  body_truncated: boolean
}

/** Answer of a replay. */
export interface Replayed {
  matched: number
  sent: number
  refused: number
  skipped: number
  problems: { id: string; reason: string; detail: string }[]
  tasks: string[]
  next: number | null
}

/** What is asked for, as it is in the page's address. */
export interface Filter {
  status: string
  reason: string
  source: string
  stage: string
  q: string
}

/** Of the query language. */
export function queryOf({ status, reason, source, stage, q }: Filter): string {
  const parts = [
    status === 'all' ? '' : `status = ${JSON.stringify(status)}`,
    reason && `reason = ${JSON.stringify(reason)}`,
    source && `source = ${JSON.stringify(source)}`,
    stage && `stage = ${JSON.stringify(stage)}`,
    q && `(${q})`,
  ]
  return parts.filter(Boolean).join(' AND ')
}

/** Only what bridges refused can be edited and mapped: all else is a record of the hub's own, or of a flow. */
export const isMessage = ({ stage }: Letter): boolean => stage === 'bridge'

const MENDS: Record<string, string> = {
  mapping_failed: 'Change the bridge’s mapping and send them again, or repair these alone with a mapping.',
  not_json: 'Edit them, or give the bridge a mapping with the format of its messages (text, csv, bytes).',
  unknown_source: 'Define the source, then send them again.',
  disabled_source: 'Switch the source on, then send them again.',
  source_type: 'Let the source use this door, then send them again.',
  schema_violation: 'Change the validator or a reshaper under Definitions, then send them again.',
  missing_field: 'Give the bridge a mapping, or edit them.',
  wrong_type: 'Give the bridge a mapping, or edit them.',
  body_too_large: 'Raise HUB_LIMITS__BODY_BYTES, or edit them.',
}

/** What mends letters of a reason, in a sentence. */
export const mendOf = (reason: string): string => MENDS[reason] ?? 'Mend what the detail says, then send them again.'
