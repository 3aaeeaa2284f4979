import { Code, Group, Stack, Text } from '@mantine/core'

import { StateBadge, type Tone } from '../../parts/StateBadge'
import type { Part, Verdict } from './types'

const TONES: Record<Verdict, Tone> = { true: 'good', false: 'bad', unknown: 'warn' }

/** Each part of a condition with what it came to, and what was found there; parts of a part stand below it. */
export function Explained({ part, depth = 0 }: { part: Part; depth?: number }) {
  return (
    <Stack
      gap={6}
      role={depth === 0 ? 'tree' : 'group'}
      {...(depth === 0 ? { 'aria-label': 'Parts of the condition' } : {})}
      style={depth === 0 ? {} : { borderLeft: '2px solid var(--hub-line)', paddingLeft: 12 }}
    >
      <Group gap="sm" wrap="nowrap" align="flex-start" role="treeitem">
        {part.verdict && <StateBadge state={part.verdict} tone={TONES[part.verdict]} />}
        <Stack gap={2} style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
          <Code>{part.condition}</Code>
          {part.seen?.map(({ field, state, value }) => (
            <Text key={field} size="sm" c="dimmed">
              {field}: {state === 'there' ? JSON.stringify(value) : state}
            </Text>
          ))}
        </Stack>
      </Group>
      {part.parts?.map((one, n) => (
        <Explained key={`${n} ${one.condition}`} part={one} depth={depth + 1} />
      ))}
    </Stack>
  )
}
