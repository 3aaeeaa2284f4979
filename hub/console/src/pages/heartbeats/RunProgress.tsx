import { Group, Progress, Text } from '@mantine/core'

import { count } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import type { Run } from './types'

/** How far a run is, or how it ended. */
export function RunProgress({ run }: { run: Run }) {
  const part = run.profiles === 0 ? 0 : Math.min(100, (100 * run.profiles_done) / run.profiles)
  return (
    <Group gap="sm" wrap="nowrap">
      <StateBadge state={run.state} {...(run.slices_failed > 0 ? { hint: `${count(run.slices_failed)} slices could not be done; the log of the agents has why.` } : {})} />
      {run.state === 'running' && <Progress value={part} w={90} aria-label={`${Math.round(part)} % of the profiles found so far`} />}
      <Text size="sm" c="dimmed" style={{ whiteSpace: 'nowrap' }}>
        {count(run.events)} events
        {run.left_out > 0 && `, ${count(run.left_out)} left out`}
      </Text>
    </Group>
  )
}
