import { List, Text } from '@mantine/core'

import type { FlowProblem } from './types'

/** All that is wrong with a flow, and all that has to be known of it. */
export function Problems({ problems, warnings }: { problems: FlowProblem[]; warnings: FlowProblem[] }) {
  if (problems.length + warnings.length === 0) {
    return <Text c="var(--hub-good)">Nothing is wrong with it.</Text>
  }
  return (
    <List size="sm" spacing={2} aria-label="What is wrong">
      {problems.map(({ where, detail }) => (
        <List.Item key={where + detail} c="var(--hub-bad)">
          {where}: {detail}
        </List.Item>
      ))}
      {warnings.map(({ where, detail }) => (
        <List.Item key={where + detail} c="var(--hub-warn)">
          {where}: {detail}
        </List.Item>
      ))}
    </List>
  )
}
