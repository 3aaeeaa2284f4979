import { Anchor, Group, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { bytes } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import { readable } from './Result'

/** What a destination would send of one stored event. */
export interface Rehearsed {
  event: string
  type: string
  skipped?: boolean
  refused?: { reason: string; detail: string; where: string }
  key?: string
  bytes?: number
  body?: string
}

export function Sent({ message }: { message: Rehearsed }) {
  const { event, type, skipped, refused, key, body } = message
  return (
    <Stack gap={4} style={{ borderTop: '1px solid var(--hub-line)', paddingTop: 8 }}>
      <Group justify="space-between" gap="xs">
        <Group gap="xs">
          <Anchor component={Link} href={path`/events/${event}`} size="sm" style={{ overflowWrap: 'anywhere' }}>
            {type}
          </Anchor>
          {key !== undefined && key !== '' && (
            <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
              key {key}
            </Text>
          )}
          {message.bytes !== undefined && (
            <Text size="xs" c="dimmed">
              {bytes(message.bytes)}
            </Text>
          )}
        </Group>
        {refused ? <StateBadge state={refused.reason} tone="bad" /> : skipped ? <StateBadge state="not sent" tone="idle" /> : <StateBadge state="is sent" tone="good" />}
      </Group>
      {refused && (
        <Text size="sm" c="var(--hub-bad)" style={{ overflowWrap: 'anywhere' }}>
          {refused.detail}
        </Text>
      )}
      {body !== undefined && (
        <pre className="hub-json" tabIndex={0} role="region" aria-label={`Message of ${event}`} style={{ maxHeight: 240 }}>
          {readable(body)}
        </pre>
      )}
    </Stack>
  )
}
