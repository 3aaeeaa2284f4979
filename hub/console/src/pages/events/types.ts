/** As GET /events has it; what pages look at. */
export interface EventDocument {
  id: string
  type: string
  name?: string
  source: { id: string }
  profile: { id: string } | null
  session: { id: string } | null
  metadata: { time: { insert: string; create: string | null }; flags: string[] }
  properties: Record<string, unknown>
}

/** When it happened, as far as is known. */
export const timeOf = (event: EventDocument): string => event.metadata.time.create ?? event.metadata.time.insert

export interface Histogram {
  interval: string
  begin: string
  end: string
  total: number
  groups: { value: string | number | boolean | null; count: number }[]
  items: { time: string; count: number; groups: number[]; other: number }[]
}
