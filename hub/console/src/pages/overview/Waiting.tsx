import { Anchor, Group, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { url } from '../../api/client'
import { count, several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { TimeAgo } from '../../parts/Time'
import type { DeadLetters, Tasks } from './types'

const MOST = 3

/** Tasks that are under way, or wait for a worker. */
export function TasksPanel({ tasks }: { tasks: Tasks | null }) {
  return (
    <Panel title="Tasks" aside={<More to="/tasks">All</More>}>
      {tasks === null ? (
        <Text c="dimmed">Not known now: see above.</Text>
      ) : tasks.running + tasks.waiting === 0 ? (
        <Text c="dimmed">None runs or waits.</Text>
      ) : (
        <Stack gap={4}>
          <Text>
            {count(tasks.running)} running, {count(tasks.waiting)} waiting
          </Text>
          {tasks.items.slice(0, MOST).map((task) => (
            <Text key={task.id} size="sm" style={{ overflowWrap: 'anywhere' }}>
              <Anchor component={Link} href={url('/tasks', { id: task.id })} inherit>
                {task.kind}
              </Anchor>{' '}
              <Text span size="sm" c="dimmed">
                {task.state}, asked for <TimeAgo at={task.asked_at} />
              </Text>
            </Text>
          ))}
        </Stack>
      )}
    </Panel>
  )
}

/** Dead letters that somebody has yet to look at, the most frequent reasons first. */
export function DeadLettersPanel({ letters }: { letters: DeadLetters | null }) {
  const reasons = Object.entries(letters?.reasons ?? {}).sort(([, a], [, b]) => b - a)
  return (
    <Panel title="Dead letters" aside={<More to="/dead-letters">All</More>}>
      {letters === null ? (
        <Text c="dimmed">Not known now: see above.</Text>
      ) : letters.open === 0 ? (
        <Text c="dimmed">None is open.</Text>
      ) : (
        <Stack gap={4}>
          <Text c="var(--hub-warn)">{several(letters.open, 'open letter')}</Text>
          {reasons.slice(0, MOST).map(([reason, n]) => (
            <Group key={reason} gap="xs" justify="space-between" wrap="nowrap">
              <Anchor component={Link} href={url('/dead-letters', { reason })} size="sm" style={{ overflowWrap: 'anywhere' }}>
                {reason.replaceAll('_', ' ')}
              </Anchor>
              <Text size="sm" className="hub-number">
                {count(n)}
              </Text>
            </Group>
          ))}
          {reasons.length > MOST && (
            <Text size="sm" c="dimmed">
              and {several(reasons.length - MOST, 'other reason')}
            </Text>
          )}
        </Stack>
      )}
    </Panel>
  )
}

function More({ to, children }: { to: string; children: string }) {
  return (
    <Anchor component={Link} href={to} size="sm">
      {children}
    </Anchor>
  )
}
