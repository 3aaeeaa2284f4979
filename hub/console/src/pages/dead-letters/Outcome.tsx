import { Anchor, List, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { url } from '../../api/client'
import { several } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import type { Replayed } from './types'

/** What became of letters that were sent again. */
export function Outcome({ replayed }: { replayed: Replayed }) {
  const { sent, refused, skipped, problems, tasks, next } = replayed
  return (
    <Stack gap="xs" role="status">
      <StateBadge state={`${several(sent, 'letter')} sent`} tone={sent > 0 ? 'good' : 'idle'} />
      {refused > 0 && <StateBadge state={`${several(refused, 'letter')} refused again`} tone="bad" />}
      {skipped > 0 && <StateBadge state={`${several(skipped, 'letter')} skipped, and left as they were`} tone="warn" />}
      {problems.length > 0 && (
        <List size="sm">
          {problems.map(({ id, reason, detail }) => (
            <List.Item key={id} style={{ overflowWrap: 'anywhere' }}>
              <Anchor component={Link} href={url('/dead-letters', { id })} size="sm" ff="monospace">
                {id}
              </Anchor>
              : {reason && `${reason}: `}
              {detail}
            </List.Item>
          ))}
        </List>
      )}
      {sent > 0 && <Text size="sm" c="dimmed">A letter is resolved once everything that it sent is stored, which takes a moment.</Text>}
      {tasks.length > 0 && (
        <Text size="sm">
          Messages of flows are sent by a task:{' '}
          <Anchor component={Link} href="/tasks" size="sm">
            see how far it is
          </Anchor>
          .
        </Text>
      )}
      {next !== null && <Text size="sm">There are more: send again for the next ones.</Text>}
    </Stack>
  )
}
