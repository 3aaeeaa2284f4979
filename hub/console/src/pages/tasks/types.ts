/** Answers of /tasks. */

export interface Task {
  id: string
  kind: string
  queue: string
  state: string
  arguments: Record<string, unknown>
  by: string
  asked_at: string
  started_at: string | null
  ended_at: string | null
  progress: { done: number; total: number; exact: boolean; slices: number; slices_done: number; slices_failed: number }
  counts: Record<string, number>
  error: string
  hint: string
}

export interface TaskState extends Task {
  slices: { number: number; what: string; state: string; done: number; total: number; counts: Record<string, number>; begun: number; error: string }[]
  sample: unknown[]
}

export const OVER = ['done', 'failed', 'cancelled']
