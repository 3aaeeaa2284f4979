import { Group, Progress, Text } from '@mantine/core'

import { count } from '../../parts/numbers'
import type { Task } from './types'

/** How much of it is done. */
export function TaskProgress({ task: { progress } }: { task: Task }) {
  const part = progress.total === 0 ? 0 : Math.min(100, (100 * progress.done) / progress.total)
  const words = `${count(progress.done)} of ${progress.exact ? '' : 'about '}${count(progress.total)}`
  return (
    <Group gap="xs" wrap="nowrap">
      <Progress value={part} w={90} aria-label={`${Math.round(part)} % done`} {...(progress.slices_failed > 0 ? { color: 'red.8' } : {})} />
      <Text size="sm" className="hub-number" style={{ whiteSpace: 'nowrap' }}>
        {progress.total === 0 && progress.done === 0 ? '–' : words}
      </Text>
    </Group>
  )
}
