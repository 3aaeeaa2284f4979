/** One of GET /definitions/source */
export interface SourceEntry {
  id: string
  version: number
  updated_at_ms: number
  spec: SourceSpec
}

export interface SourceSpec {
  name: string
  description: string
  enabled: boolean
  type: string[]
  channel: string
  rate_limit: number
  write_keys: string[]
  allowed_origins: string[]
  [more: string]: unknown
}

/** Ways for events to come in, as people call them. */
export const DOORS: { value: string; label: string }[] = [
  { value: 'rest', label: 'HTTP: pages, servers, SDKs (rest)' },
  { value: 'bridge', label: 'Queues and imports (bridge)' },
  { value: 'webhook', label: 'Signed webhooks (webhook)' },
  { value: 'redirect', label: 'Links that count (redirect)' },
  { value: 'internal', label: 'The hub itself (internal)' },
]

/** A write key that nobody has yet. It is no secret, but should not be guessed by accident. */
export function newWriteKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12))
  return `wk_${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

/** What people call a source, and its id if that is something else. */
export const nameOf = (source: SourceEntry): string => source.spec.name || source.id

/** An id made of a name: `My shop!` is `my-shop`. */
export const idOf = (name: string): string =>
  name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64)
