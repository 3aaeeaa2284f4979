import { Text } from '@mantine/core'
import { Handle, type Node, type NodeProps, Position } from '@xyflow/react'

import { HEIGHT, WIDTH } from './layout'

export type Box = Node<{ type: string; ports: string[]; lit: string[]; state: string | null; problem: boolean; skipped: boolean }, 'box'>

const ROOM = 100

/** A node of the graph: its id, its type, a port for each way out. */
export function NodeBox({ id, data, selected }: NodeProps<Box>) {
  const { type, ports, lit, state, problem, skipped } = data
  const tone = problem || state === 'failed' ? 'var(--hub-bad)' : state !== null ? 'var(--hub-good)' : 'var(--hub-line)'
  return (
    <div
      style={{
        width: WIDTH,
        height: HEIGHT,
        padding: '8px 12px',
        background: 'var(--mantine-color-body)',
        border: `${selected || state !== null || problem ? 2 : 1}px solid ${selected ? 'var(--mantine-color-anchor)' : tone}`,
        borderRadius: 6,
        opacity: skipped ? 0.55 : 1,
      }}
    >
      <Handle type="target" position={Position.Left} isConnectable />
      <Text fw={600} truncate>
        {id}
      </Text>
      <Text size="sm" c={problem ? 'var(--hub-bad)' : 'dimmed'} truncate>
        {problem ? 'something is wrong here' : state === null ? type : `${type}: ${state}`}
      </Text>
      {ports.map((port, n) => (
        <Handle
          key={port}
          id={port}
          type="source"
          position={Position.Right}
          title={port}
          style={{
            top: `${(ROOM * (n + 1)) / (ports.length + 1)}%`,
            ...(lit.includes(port) ? { background: 'var(--hub-good)' } : port === 'error' ? { background: 'var(--hub-bad)' } : {}),
          }}
        />
      ))}
    </div>
  )
}
