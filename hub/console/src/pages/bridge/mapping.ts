/** A message to try a mapping on. */
export interface Sample {
  body: string
  meta: Record<string, unknown>
  /** Where it is at the broker; empty: typed here. */
  position: string
  time: string | null
  /** Of the whole message; the body here is cut off when it is longer. */
  bytes: number
  isCut: boolean
}

/** One message of POST /bridges/{id}/test */
export interface Tested {
  position: string
  time: string | null
  bytes: number
  body: string
  decoded?: string
  meta: Record<string, unknown>
}

export interface Made {
  payload?: unknown
  dropped?: boolean
  refused?: { reason: string; detail: string; where: string }
}

const SHOWN_BYTES = 4_000

export const sampleOf = ({ position, time, bytes, body, decoded, meta }: Tested): Sample => ({
  body: decoded ?? body,
  meta,
  position,
  time,
  bytes,
  isCut: decoded === undefined ? bytes > SHOWN_BYTES : decoded.length >= SHOWN_BYTES,
})

export const typed = (body: string): Sample => ({
  body, meta: {}, position: '', time: null, bytes: new TextEncoder().encode(body).length, isCut: false,
})

const WHO = [
  'profile_id', 'profileId', 'customer_id', 'customerId', 'user_id', 'userId', 'customer', 'user', 'client_id', 'clientId', 'member_id',
  'email', 'e_mail', 'mail', 'who', 'anonymousId', 'id',
]
const WHAT = ['event_type', 'eventType', 'event', 'type', 'event_name', 'eventName', 'action', 'kind']
const WHEN = ['timestamp', 'time', 'created_at', 'createdAt', 'occurred_at', 'occurredAt', 'date', 'ts', 'at']

/** A mapping that fits a message as well as can be guessed; null: it has the /track shape and needs none. */
export function suggested(body: string): Record<string, unknown> | null {
  let message: unknown
  try {
    message = JSON.parse(body)
  } catch {
    return { format: 'text', event: { type: "'message'", properties: { text: '@' } } }
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return { event: { type: "'message'", properties: { value: '@' } } }
  const fields = message as Record<string, unknown>
  if (Array.isArray(fields['events'])) return null
  const is = (name: string, types: string[]) => types.includes(typeof fields[name]) && fields[name] !== ''
  const who = WHO.find((name) => is(name, ['string', 'number']))
  const what = WHAT.find((name) => is(name, ['string']))
  const when = WHEN.map((name) => timeOf(name, fields[name])).find((found) => found !== null)
  return {
    ...(who === undefined ? {} : { profile: who }),
    event: {
      type: what ?? "'message'",
      ...(when === undefined ? {} : { time: when }),
      properties: '@',
    },
  }
}

/** An expression for a field that holds a time; null: it holds none. */
function timeOf(name: string, value: unknown): string | null {
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value)) return name
  if (typeof value !== 'number') return null
  if (value > 1e11 && value < 1e14) return `parse_time(${name}, 'unix_ms')`
  return value > 1e8 && value < 1e11 ? `parse_time(${name}, 'unix')` : null
}
