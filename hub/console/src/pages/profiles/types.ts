/** As GET /profiles has it; what pages look at. */
export interface ProfileDocument {
  id: string
  ids: string[]
  active: boolean
  metadata: {
    version: number
    time: { insert: string; update: string; visit: { first: string | null; last: string | null; current: string | null; count: number } }
    /** By field: when and by which event it came; `sum` if it adds up when profiles become one. */
    fields: Record<string, [string, string, string?]>
    segments?: Record<string, Stay>
  }
  stats: { events: number; visits: number }
  traits: Record<string, unknown>
  data: Record<string, unknown>
  segments: string[]
  interests: Record<string, unknown>
  consents: Record<string, { granted: boolean; revoke: string | null }>
}

/** Since when and why a profile is in a segment. */
export interface Stay {
  since: string
  event: string | null
  by: 'condition' | 'list' | 'flow'
  definition: number
}

/** What people call somebody, if anything of it is known; else empty. */
export function nameOf({ traits, data }: ProfileDocument): string {
  const pii = (data['pii'] ?? {}) as Record<string, unknown>
  const whole = [pii['firstname'], pii['lastname']].filter((part) => typeof part === 'string').join(' ')
  const found = [traits['name'], pii['name'], pii['display_name'], whole].find((one) => typeof one === 'string' && one !== '')
  return typeof found === 'string' ? found : ''
}
