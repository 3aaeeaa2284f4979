import { graphlib, layout } from '@dagrejs/dagre'

import { type FlowSpec, targets } from './types'

export const WIDTH = 190
export const HEIGHT = 58

/** Where each node stands, from left to right as a run goes. A flow keeps no positions, so it looks alike to everybody. */
export function placed({ nodes }: FlowSpec): Record<string, { x: number; y: number }> {
  const graph = new graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 28, ranksep: 70 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const id of Object.keys(nodes)) graph.setNode(id, { width: WIDTH, height: HEIGHT })
  for (const [id, node] of Object.entries(nodes)) {
    for (const to of Object.values(node.to ?? {}).flatMap(targets)) if (to in nodes) graph.setEdge(id, to)
  }
  layout(graph)
  return Object.fromEntries(
    Object.keys(nodes).map((id) => {
      const at = graph.node(id) as { x: number; y: number }
      return [id, { x: at.x - WIDTH / 2, y: at.y - HEIGHT / 2 }]
    }),
  )
}
