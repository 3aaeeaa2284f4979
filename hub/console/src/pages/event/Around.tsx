import { Anchor, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { Panel } from '../../parts/Panel'
import { TimeAgo } from '../../parts/Time'
import type { Neighbour, Trace } from './types'

/** What the same customer did before and after it. */
export function Around({ trace }: { trace: Trace }) {
  const { before, after } = trace.neighbours ?? { before: [], after: [] }
  const later = [...after].reverse()
  return (
    <Panel title="Before and after">
      <Stack gap={4} component="ol" m={0} p={0} style={{ listStyle: 'none' }}>
        {later.map((one) => (
          <Row key={one.id} one={one} />
        ))}
        <Text component="li" size="sm" fw={600} aria-current="true">
          {trace.type} (this one)
        </Text>
        {before.map((one) => (
          <Row key={one.id} one={one} />
        ))}
      </Stack>
      {before.length + after.length === 0 && (
        <Text size="sm" c="dimmed" mt="xs">
          The only event of its profile.
        </Text>
      )}
    </Panel>
  )
}

function Row({ one }: { one: Neighbour }) {
  return (
    <Text component="li" size="sm">
      <Anchor component={Link} href={path`/events/${one.id}`} inherit style={{ overflowWrap: 'anywhere' }}>
        {one.type}
      </Anchor>{' '}
      <Text component="span" size="xs" c="dimmed">
        <TimeAgo at={one.time} />
        {one.same_payload && ', sent together with it'}
      </Text>
    </Text>
  )
}
