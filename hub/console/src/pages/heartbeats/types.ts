/** Answers of /heartbeats. */

export interface Run {
  id: string
  due_at: string
  by: 'schedule' | 'person'
  state: string
  started_at: string
  ended_at: string | null
  missed: number
  slices: number
  slices_done: number
  slices_failed: number
  all_slices_known: boolean
  profiles: number
  profiles_done: number
  events: number
  left_out: number
}

export interface Heartbeat {
  id: string
  name: string
  event_type: string
  enabled: boolean
  built_in: boolean
  every: string | null
  cron: string | null
  time_zone: string
  condition: string
  catch_up: string
  version: number
  state: string
  hint: string
  next_at: string | null
  last_run: Run | null
}

/** GET /definitions/heartbeat/{id}: what can be edited here; what else there is, is kept. */
export interface HeartbeatSpec {
  name: string
  event_type: string
  condition: string
  cron: string
  every: string
  time_zone: string
  catch_up: string
  [more: string]: unknown
}
