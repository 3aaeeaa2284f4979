import { Group, Stack, Text } from '@mantine/core'

import { Json } from '../../parts/Json'
import { StateBadge } from '../../parts/StateBadge'
import type { Trace } from './types'

/** What filters, validators and other rules did to it, and what was odd about it. */
export function Rules({ trace }: { trace: Trace }) {
  const flags = trace.validation?.flags ?? []
  const rules = trace.rules ?? []
  const problems = trace.mappings?.problems ?? []
  if (flags.length + rules.length + problems.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        No rule had anything to say, and nothing was odd about it.
      </Text>
    )
  }
  return (
    <Stack gap={6}>
      {flags.map(({ flag, meaning }) => (
        <Group gap={6} key={flag} fz="sm">
          <StateBadge state={flag} tone="warn" />
          <span>{meaning}</span>
        </Group>
      ))}
      {rules.length > 0 && <Json value={rules} label="what rules did" most={200} />}
      {problems.length > 0 && <Json value={problems} label="problems of mappings" most={200} />}
    </Stack>
  )
}
