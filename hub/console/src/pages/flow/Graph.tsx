import '@xyflow/react/dist/style.css'

import { useComputedColorScheme } from '@mantine/core'
import { Background, Controls, type Edge, MarkerType, ReactFlow, type ReactFlowInstance } from '@xyflow/react'
import { useMemo } from 'react'

import { HEIGHT, placed } from './layout'
import { type Box, NodeBox } from './NodeBox'
import { type FlowSpec, type Lit, type NodeType, targets } from './types'

const KINDS = { box: NodeBox }
const FRAME = 380
const FIT = { maxZoom: 1 }
/** Smaller than this, what is written in nodes cannot be read. */
const READABLE_ZOOM = 0.75
const MARGIN = 16

interface Props {
  flow: FlowSpec
  types: Record<string, NodeType>
  /** Nodes with something wrong. */
  wrong: Set<string>
  lit: Lit | null
  selected: string | null
  onSelect: (node: string | null) => void
  onConnect?: (from: string, port: string, to: string) => void
}

/** The flow as a graph. All that the mouse does here, the form of a node does, too. */
export function Graph({ flow, types, wrong, lit, selected, onSelect, onConnect }: Props) {
  const scheme = useComputedColorScheme('light')
  const boxes = useMemo<Box[]>(() => {
    const places = placed(flow)
    return Object.entries(flow.nodes).map(([id, node]) => ({
      id,
      type: 'box',
      position: places[id] ?? { x: 0, y: 0 },
      selected: id === selected,
      draggable: false,
      ariaLabel: `Node ${id}, ${node.type}`,
      data: {
        type: node.type,
        ports: portsOf(node.to, types[node.type]),
        lit: lit?.ports[id] ?? [],
        state: lit?.states[id] ?? null,
        problem: wrong.has(id),
        skipped: node.skip ?? false,
      },
    }))
  }, [flow, types, wrong, lit, selected])
  const edges = useMemo<Edge[]>(
    () =>
      Object.entries(flow.nodes).flatMap(([from, node]) =>
        Object.entries(node.to ?? {}).flatMap(([port, to]) =>
          targets(to).map((target) => {
            const went = lit?.ports[from]?.includes(port) ?? false
            return {
              id: `${from} ${port} ${target}`,
              source: from,
              sourceHandle: port,
              target,
              focusable: false,
              ...(port === 'out' ? {} : { label: port }),
              markerEnd: { type: MarkerType.ArrowClosed },
              animated: went,
              style: went ? { stroke: 'var(--hub-good)', strokeWidth: 2 } : {},
            }
          }),
        ),
      ),
    [flow, lit],
  )
  return (
    <div style={{ height: FRAME, border: '1px solid var(--hub-line)', borderRadius: 6 }} role="group" aria-label="The flow as a graph">
      <ReactFlow
        nodes={boxes}
        edges={edges}
        nodeTypes={KINDS}
        colorMode={scheme}
        fitView
        fitViewOptions={FIT}
        onInit={(graph) => void begin(graph)}
        minZoom={0.1}
        nodesDraggable={false}
        nodesConnectable={onConnect !== undefined}
        deleteKeyCode={null}
        onNodesChange={(changes) => {
          for (const change of changes) if (change.type === 'select' && change.selected) onSelect(change.id)
        }}
        onPaneClick={() => { onSelect(null) }}
        onConnect={({ source, sourceHandle, target }) => onConnect?.(source, sourceHandle ?? 'out', target)}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  )
}

/** All of the flow is in view; or its start, if all of it were too small to read. */
async function begin(graph: ReactFlowInstance<Box>) {
  await graph.fitView(FIT)
  if (graph.getZoom() >= READABLE_ZOOM) return
  const nodes = graph.getNodes()
  const start = nodes.find(({ data }) => data.type === 'start') ?? nodes[0]
  if (start === undefined) return
  const { x, y } = start.position
  await graph.setViewport({ zoom: READABLE_ZOOM, x: MARGIN - x * READABLE_ZOOM, y: FRAME / 2 - (y + HEIGHT / 2) * READABLE_ZOOM })
}

/** Those of its type, those that lead somewhere, and the one for errors last. */
export function portsOf(to: Record<string, unknown> | undefined, type: NodeType | undefined): string[] {
  const error = type?.error_port ?? 'error'
  const named = [...(type?.ports ?? ['out']), ...Object.keys(to ?? {})]
  return [...new Set(named.filter((port) => port !== error)), error]
}
