import { Text } from '@mantine/core'

import type { Identity } from './types'

const MOST = 8
const ROW = 34
const WIDTH = 560
const BOX = 170

/** The profile in the middle, the ids that are part of it on the left, what identified it on the right. */
export function Graph({ identity }: { identity: Identity }) {
  const others = identity.ids.filter((id) => id !== identity.id)
  const left = others.slice(0, MOST)
  const right = identity.identifiers.slice(0, MOST)
  const rows = Math.max(left.length, right.length, 1)
  const height = rows * ROW + 8
  const middle = height / 2
  const at = (n: number, many: number) => middle + (n - (many - 1) / 2) * ROW
  const words = `${identity.id} has ${others.length} more ids and ${identity.identifiers.length} identifiers`
  return (
    <figure style={{ margin: 0, overflowX: 'auto' }}>
      <svg viewBox={`0 0 ${WIDTH} ${height}`} width="100%" style={{ maxWidth: WIDTH, minWidth: 300, display: 'block' }} role="img" aria-label={words}>
        {left.map((id, n) => (
          <g key={id}>
            <path d={curve(BOX, at(n, left.length), WIDTH / 2 - BOX / 2, middle)} className="hub-edge" />
            <Node x={0} y={at(n, left.length)} text={id} />
          </g>
        ))}
        {right.map((one, n) => (
          <g key={one.identifier}>
            <path d={curve(WIDTH - BOX, at(n, right.length), WIDTH / 2 + BOX / 2, middle)} className="hub-edge" strokeDasharray={one.shared ? '3 3' : undefined} />
            <Node x={WIDTH - BOX} y={at(n, right.length)} text={`${one.label} ${one.identifier.slice(0, 8)}`} isRound />
          </g>
        ))}
        <Node x={WIDTH / 2 - BOX / 2} y={middle} text={identity.id} isMain />
      </svg>
      {(others.length > MOST || identity.identifiers.length > MOST) && (
        <Text size="xs" c="dimmed">
          The first {MOST} of each are drawn; the tables below have all.
        </Text>
      )}
    </figure>
  )
}

const curve = (x1: number, y1: number, x2: number, y2: number) =>
  `M${x1},${y1} C${(x1 + x2) / 2},${y1} ${(x1 + x2) / 2},${y2} ${x2},${y2}`

function Node({ x, y, text, isMain = false, isRound = false }: { x: number; y: number; text: string; isMain?: boolean; isRound?: boolean }) {
  return (
    <>
      <title>{text}</title>
      <rect x={x + 1} y={y - 12} width={BOX - 2} height={24} rx={isRound ? 12 : 4} className={isMain ? 'hub-node hub-node-main' : 'hub-node'} />
      <text x={x + BOX / 2} y={y + 4} textAnchor="middle" className="hub-node-text" fontWeight={isMain ? 600 : 400}>
        {text.length > 24 ? `${text.slice(0, 22)}…` : text}
      </text>
    </>
  )
}
