/** Definitions of flows, and answers of /flows and /runs. */

import type { Schema, Settings } from '../../parts/SettingsForm'

export interface FlowNode {
  type: string
  config?: Settings
  /** By port: the node it leads to, or several. */
  to?: Record<string, string | string[]>
  skip?: boolean
  note?: string
}

export interface Trigger {
  type: string
  [more: string]: unknown
}

export interface FlowSpec {
  name: string
  description?: string
  enabled?: boolean
  triggers?: Trigger[]
  nodes: Record<string, FlowNode>
  [more: string]: unknown
}

/** One of GET /flows/nodes */
export interface NodeType {
  type: string
  summary: string
  group: string
  ports: string[]
  own_ports: boolean
  error_port: string
  /** So long it may take, by a worker; null: it takes no time worth speaking of. */
  long_s: number | null
  config: Schema
  error?: string
}

export interface FlowProblem {
  node: string | null
  where: string
  detail: string
  column: number | null
}

export interface FlowSummary {
  id: string
  name: string
  state: 'draft' | 'enabled' | 'disabled'
  version: number | null
  updated_at: string | null
  draft: number | null
  draft_differs: boolean
  triggers: Trigger[]
  nodes: number
}

export interface FlowState extends FlowSummary {
  problems: FlowProblem[]
  warnings: FlowProblem[]
}

export interface Step {
  node: string
  type: string
  state: string
  input: unknown
  port: string
  output: unknown
  effects: unknown[]
  note: string
  error: string
  took_us: number
}

export interface Leg {
  at: string
  steps: Step[]
}

/** POST /flows/{id}/test */
export interface Trial {
  state: string
  error: string
  legs: Leg[]
  [more: string]: unknown
}

export interface FlowRun {
  id: string
  flow: string
  version: number
  state: string
  error: string
  profile: string | null
  event: string | null
  trigger: { kind: string; at: string }
  began_at: string
  changed_at: string
  due_at: string | null
  pauses: { node: string; until: string; event_type: string }[]
}

/** Which ports something came out of, by node; how each node did. */
export interface Lit {
  ports: Record<string, string[]>
  states: Record<string, string>
}

export function litBy(legs: Leg[]): Lit {
  const lit: Lit = { ports: {}, states: {} }
  for (const step of legs.flatMap((leg) => leg.steps)) {
    lit.states[step.node] = step.error === '' ? step.state : 'failed'
    if (step.port !== '') (lit.ports[step.node] ??= []).push(step.port)
  }
  return lit
}

export const targets = (to: string | string[] | undefined): string[] => (to === undefined ? [] : Array.isArray(to) ? to : [to])
