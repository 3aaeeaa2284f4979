import { Anchor, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path, url } from '../../api/client'
import { count, rate } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { labelOf, type Line, nameOf, type Of } from '../bridge/types'

/** A card for each bridge or destination: is it well, and if not, why. */
export function Cards({ lines, of }: { lines: Line[]; of: Of }) {
  return (
    <SimpleGrid component="ul" cols={{ base: 1, sm: 2, lg: 3 }} spacing="md" p={0} m={0} style={{ listStyle: 'none' }} aria-label={`All ${of}s`}>
      {lines.map((line) => (
        <li key={line.id} style={{ minWidth: 0 }}>
          <Card line={line} of={of} />
        </li>
      ))}
    </SimpleGrid>
  )
}

function Card({ line, of }: { line: Line; of: Of }) {
  const to = of === 'bridge' ? path`/bridges/${line.id}` : url(path`/bridges/${line.id}`, { of: 'destination' })
  return (
    <Stack gap="xs" className="hub-panel" h="100%">
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={0} style={{ minWidth: 0 }}>
          <Anchor component={Link} href={to} fw={600} style={{ overflowWrap: 'anywhere' }}>
            {nameOf(line)}
          </Anchor>
          <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {labelOf(line.type)}
            {line.source !== undefined && ` → ${line.source}`}
          </Text>
        </Stack>
        <StateBadge state={line.state} />
      </Group>
      <Group gap="lg">
        <Number label="waiting" value={line.lag === null ? 'not told' : count(line.lag)} unit={line.lag === null ? '' : of === 'bridge' ? 'messages' : 'events'} />
        <Number label="rate" value={rate(line.rate)} unit={of === 'bridge' ? 'messages/s' : 'events/s'} />
        <Number label="refused" value={count(line.refused)} unit={of === 'bridge' ? 'messages' : 'events'} />
      </Group>
      {line.last_error === null ? (
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          {line.hint}
        </Text>
      ) : (
        <Text size="sm" c={line.state === 'running' ? 'dimmed' : 'var(--hub-bad)'} style={{ overflowWrap: 'anywhere' }} lineClamp={4}>
          {line.state === 'running' ? 'It was mended: ' : ''}
          {line.last_error} (<TimeAgo at={line.last_error_at} />)
        </Text>
      )}
    </Stack>
  )
}

function Number({ label, value, unit }: { label: string; value: string; unit: string }) {
  return (
    <Stack gap={0}>
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text className="hub-number">
        {value}{' '}
        {unit !== '' && (
          <Text span size="xs" c="dimmed">
            {unit}
          </Text>
        )}
      </Text>
    </Stack>
  )
}
