import { Group, Skeleton, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'

import { hub, path } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { StateBadge } from '../../parts/StateBadge'
import type { Part } from './types'

/** Which part of a segment's condition holds for somebody, and what was found there. */
export function Why({ segment, profile }: { segment: string; profile: string }) {
  const definition = useGet<{ spec: { condition?: string | null } }>(path`/definitions/segment/${segment}`)
  const condition = definition.data?.spec.condition ?? ''
  const explained = useQuery({
    queryKey: ['/conditions/explain', { condition, profile }],
    queryFn: () => hub.post<{ tree: Part }>('/conditions/explain', { condition, kind: 'profiles', id: profile }),
    enabled: condition !== '',
  })
  if (definition.error !== null || explained.error !== null) return <ErrorNotice error={definition.error ?? explained.error} />
  if (definition.data && condition === '') return <Text size="sm">It has no condition any more.</Text>
  if (!explained.data) return <Skeleton height={40} />
  return (
    <div style={{ borderLeft: '2px solid var(--hub-line)', paddingLeft: 8, marginTop: 4 }}>
      <Tree part={explained.data.tree} depth={0} />
    </div>
  )
}

const TONES = { true: 'good', false: 'bad', unknown: 'idle' } as const

function Tree({ part, depth }: { part: Part; depth: number }) {
  const isJoin = (part.parts ?? []).length > 0
  return (
    <div style={{ marginLeft: depth * 10 }}>
      <Group gap={6} align="baseline">
        {part.verdict && <StateBadge state={part.verdict} tone={TONES[part.verdict]} />}
        <Text size="xs" ff="monospace" style={{ overflowWrap: 'anywhere' }}>
          {isJoin ? part.kind.toUpperCase() : part.condition}
        </Text>
      </Group>
      {(part.seen ?? []).map((one) => (
        <Text key={one.field} size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          {one.field} is {one.state === 'there' ? JSON.stringify(one.value).slice(0, 200) : one.state}
        </Text>
      ))}
      {(part.parts ?? []).map((one, n) => (
        <Tree key={`${n}${one.condition}`} part={one} depth={depth + 1} />
      ))}
    </div>
  )
}
