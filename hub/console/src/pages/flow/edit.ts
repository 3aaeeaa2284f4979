/** Changes of a flow: each gives a new one. */

import { type FlowNode, type FlowSpec, targets } from './types'

export function withNode(flow: FlowSpec, id: string, node: FlowNode): FlowSpec {
  return { ...flow, nodes: { ...flow.nodes, [id]: node } }
}

/** A new node of a type, under a name that is free, led to from a port of another. */
export function withNew(flow: FlowSpec, type: string, from: { node: string; port: string } | null): [FlowSpec, string] {
  let id = type
  for (let n = 2; id in flow.nodes; n += 1) id = `${type}-${n}`
  const added = withNode(flow, id, { type, config: {} })
  return [from === null ? added : withEdge(added, from.node, from.port, id), id]
}

export function withEdge(flow: FlowSpec, from: string, port: string, to: string): FlowSpec {
  const node = flow.nodes[from]
  if (node === undefined) return flow
  const there = targets(node.to?.[port])
  return there.includes(to) ? flow : withTargets(flow, from, port, [...there, to])
}

export function withTargets(flow: FlowSpec, from: string, port: string, to: string[]): FlowSpec {
  const node = flow.nodes[from]
  if (node === undefined) return flow
  const { [port]: _, ...others } = node.to ?? {}
  const led = to.length === 0 ? others : { ...others, [port]: to.length === 1 ? to[0]! : to }
  return withNode(flow, from, { ...node, to: led })
}

/** Without a node, and all that leads to it. */
export function withoutNode(flow: FlowSpec, id: string): FlowSpec {
  const { [id]: _, ...others } = flow.nodes
  let left: FlowSpec = { ...flow, nodes: others }
  for (const [from, node] of Object.entries(others)) {
    for (const [port, to] of Object.entries(node.to ?? {})) {
      if (targets(to).includes(id)) left = withTargets(left, from, port, targets(to).filter((one) => one !== id))
    }
  }
  return left
}
