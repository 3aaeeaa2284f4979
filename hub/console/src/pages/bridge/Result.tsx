import { Badge, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { useMemo } from 'react'

import { Json } from '../../parts/Json'
import { bytes } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import { Time } from '../../parts/Time'
import type { Made, Sample } from './mapping'

/** A message as it came, beside what becomes of it. `made` undefined: it is being found out. */
export function Result({ sample, made }: { sample: Sample; made: Made | undefined }) {
  const body = useMemo(() => readable(sample.body), [sample.body])
  const name = sample.position || 'typed here'
  return (
    <Stack gap={4} style={{ borderTop: '1px solid var(--hub-line)', paddingTop: 8 }}>
      <Group justify="space-between" gap="xs">
        <Group gap="xs">
          <Text ff="monospace" size="xs" style={{ overflowWrap: 'anywhere' }}>
            {name}
          </Text>
          {sample.time !== null && (
            <Text size="xs" c="dimmed">
              <Time at={sample.time} />
            </Text>
          )}
          <Text size="xs" c="dimmed">
            {bytes(sample.bytes)}
          </Text>
          {sample.isCut && <Badge variant="default">cut off here</Badge>}
        </Group>
        <Verdict made={made} />
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
        <pre className="hub-json" tabIndex={0} role="region" aria-label={`Message ${name}`} style={{ maxHeight: 220 }}>
          {body}
        </pre>
        {made?.payload !== undefined && made.refused === undefined ? (
          <Json value={made.payload} label={`What becomes of ${name}`} most={220} />
        ) : (
          <Text size="sm" c={made?.refused ? 'var(--hub-bad)' : 'dimmed'} style={{ overflowWrap: 'anywhere' }}>
            {made?.refused ? `${made.refused.detail}${made.refused.where ? ` (at ${made.refused.where})` : ''}` : '…'}
          </Text>
        )}
      </SimpleGrid>
    </Stack>
  )
}

function Verdict({ made }: { made: Made | undefined }) {
  if (made === undefined) return <StateBadge state="waiting" />
  if (made.refused !== undefined) return <StateBadge state={made.refused.reason} tone="bad" />
  if (made.dropped) return <StateBadge state="no event is made of it" tone="idle" />
  return <StateBadge state="becomes an event" tone="good" />
}

export function readable(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}
