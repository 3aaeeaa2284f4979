import { Code, Stack, Text, Title } from '@mantine/core'

import { DataTable } from '../../parts/DataTable'
import { duration, several } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import { Time } from '../../parts/Time'
import type { Leg, Step } from './types'

/** What each node did, in order; a pause begins another part. */
export function Steps({ legs }: { legs: Leg[] }) {
  return (
    <Stack gap="sm">
      {legs.map((leg, n) => (
        <Stack key={`${leg.at} ${n}`} gap={4}>
          <Title order={3}>
            {n === 0 ? 'From the beginning' : 'After the pause'}, at <Time at={leg.at} />
          </Title>
          <DataTable
            label={`Steps, part ${n + 1}`}
            rows={leg.steps}
            id={(step) => step.node}
            empty="No node ran."
            columns={[
              { title: 'Node', cell: (step) => `${step.node} (${step.type})` },
              { title: 'State', cell: (step) => <StateBadge state={step.error === '' ? step.state : 'failed'} tone={step.error === '' ? 'good' : 'bad'} /> },
              { title: 'Went out at', cell: (step) => step.port || '–' },
              { title: 'What it would do, or hand on', cell: (step) => <Outcome step={step} /> },
              { title: 'Took', right: true, cell: (step) => took(step.took_us) },
            ]}
          />
        </Stack>
      ))}
    </Stack>
  )
}

function Outcome({ step }: { step: Step }) {
  if (step.error !== '') return <Text c="var(--hub-bad)">{step.error}</Text>
  return (
    <Stack gap={2} style={{ maxWidth: 460 }}>
      {step.effects.map((effect, n) => (
        <Code key={n} style={{ overflowWrap: 'anywhere' }}>
          {JSON.stringify(effect)}
        </Code>
      ))}
      {step.effects.length === 0 && step.output !== null && <Code style={{ overflowWrap: 'anywhere' }}>{short(step.output)}</Code>}
      {step.effects.length > 3 && <Text c="dimmed">{several(step.effects.length, 'effect')}</Text>}
    </Stack>
  )
}

/** Most take less than a millisecond, some minutes. */
const took = (us: number): string => (us < 1_000_000 ? `${(us / 1_000).toFixed(1)} ms` : duration(us / 1_000_000))

const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? ''
  return text.length > 160 ? `${text.slice(0, 160)}…` : text
}
