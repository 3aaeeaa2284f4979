import type { Schema } from '../../parts/SettingsForm'

/** One of GET /bridges or /destinations, as far as they have it in common; what only one has is optional. */
export interface Line {
  id: string
  type: string
  name: string
  enabled: boolean
  version: number
  updated_at: string
  state: string
  hint: string
  process: string | null
  since: string | null
  started_at: string | null
  lag: number | null
  rate: number
  refused: number
  in_flight: number
  last_error: string | null
  last_error_at: string | null
  parts: { name: string; lag: number | null; position: string }[]
  rewinds_to: string[]
  source?: string
  priority?: string
  rate_limit?: number
  received?: number
  forwarded?: number
  last_message_at?: string | null
  condition?: string
  sends?: string
  [more: string]: unknown
}

/** One of GET /bridges/types or /destinations/types */
export interface Kind {
  type: string
  summary: string
  settings: Schema | null
  error: string
  rewinds_to?: string[]
  /** Its messages are brought to the hub: there is no queue to look at. */
  brought?: boolean
}

/** What both kinds of line are called. */
export type Of = 'bridge' | 'destination'

export const nameOf = ({ name, id }: { name: string; id: string }): string => name || id

/** How kinds are written by those who make them. */
const LABELS: Record<string, string> = {
  kafka: 'Kafka', rabbitmq: 'RabbitMQ', mqtt: 'MQTT', nats: 'NATS JetStream', redis_streams: 'Redis Streams',
  redis_list: 'Redis list', sqs: 'Amazon SQS', postgres: 'PostgreSQL', imap: 'Mailbox (IMAP)', webhook: 'Webhook',
  http: 'HTTP', clickhouse: 'ClickHouse', s3: 'S3 (Parquet)', smtp: 'E-mail (SMTP)',
}
/** Those that most people look for come first. */
export const inOrder = (kinds: Kind[]): Kind[] => {
  const known = Object.keys(LABELS)
  const place = ({ type }: Kind) => (known.includes(type) ? known.indexOf(type) : known.length)
  return [...kinds].sort((a, b) => place(a) - place(b))
}

export const labelOf = (type: string): string => LABELS[type] ?? type

/** In an address: one that is not there yet. */
export const NEW = 'new'

/** One of GET /definitions/bridge or destination */
export interface Definition {
  id: string
  version: number
  spec: Spec
}

export interface Spec {
  type: string
  name: string
  enabled: boolean
  settings: Record<string, unknown>
  mapping: Record<string, unknown> | string | null
  source?: string
  [more: string]: unknown
}
