/** What GET /tail sends, as docs/api.md has it. */
export interface Told {
  id: string
  type: string
  source: string
  profile_id: string | null
  session_id: string | null
  time: string
  received_at: string
  segments_entered: string[]
  segments_left: string[]
  properties: Record<string, unknown>
  properties_left_out: number
}

/** Of one second: `looked_at` were tried on the filter, `lost` were too many for this page. */
export interface Summary {
  seconds: number
  stored: number
  looked_at: number
  matched: number
  shown: number
  lost: number
  withheld: number
  rate: number
}

export interface TailState {
  state: 'connecting' | 'live' | 'waiting' | 'ended' | 'failed'
  detail: string
}
