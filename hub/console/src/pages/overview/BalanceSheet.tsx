import { Group, List, Stack, Text, Title } from '@mantine/core'

import { count, several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import type { Told, Totals } from './types'

const PARTS = ['stored', 'duplicate', 'dropped', 'dead', 'in_flight'] as const

/** received = stored + duplicate + dropped + dead + in flight; whatever is missing, in red and with its cause. */
export function BalanceSheet({ told }: { told: Told }) {
  const { totals, balanced, causes } = told
  return (
    <Panel title="Balance sheet" aside={<Verdict balanced={balanced} />}>
      {totals === null ? <Text c="dimmed">Not known now: see above.</Text> : <Equation totals={totals} />}
      {causes.length > 0 && (
        <Stack
          gap={4}
          mt="sm"
          p="sm"
          role="alert"
          style={{ background: 'var(--hub-bad-back)', border: '1px solid var(--hub-bad)', borderRadius: 6 }}
        >
          <Title order={3} c="var(--hub-bad)">
            {several(causes.length, 'difference')}
          </Title>
          <List size="sm" spacing={2} style={{ overflowWrap: 'anywhere' }}>
            {causes.map((cause) => (
              <List.Item key={cause}>{cause}</List.Item>
            ))}
          </List>
        </Stack>
      )}
    </Panel>
  )
}

function Verdict({ balanced }: { balanced: boolean | null }) {
  if (balanced === null) return <StateBadge state="not known" tone="warn" />
  return <StateBadge state={balanced ? 'balanced' : 'does not add up'} tone={balanced ? 'good' : 'bad'} />
}

function Equation({ totals }: { totals: Totals }) {
  const off = totals.received - PARTS.reduce((sum, part) => sum + (totals[part] ?? 0), 0)
  return (
    <Group gap="xs" align="flex-end" role="group" aria-label="Events since the beginning">
      <Term name="received" value={totals.received} />
      {PARTS.map((part, n) => {
        const value = totals[part]
        return (
          value !== undefined && (
            <Group key={part} gap="xs" align="flex-end" wrap="nowrap">
              <Sign>{n === 0 ? '=' : '+'}</Sign>
              <Term name={part.replace('_', ' ')} value={value} />
            </Group>
          )
        )
      })}
      {off !== 0 && (
        <Group gap="xs" align="flex-end" wrap="nowrap">
          <Sign>{off > 0 ? '+' : '−'}</Sign>
          <Term name={off > 0 ? 'missing' : 'too many'} value={Math.abs(off)} bad />
        </Group>
      )}
      <Text size="sm" c="dimmed" ml="auto">
        events since the beginning
      </Text>
    </Group>
  )
}

function Term({ name, value, bad = false }: { name: string; value: number; bad?: boolean }) {
  return (
    <Stack gap={0}>
      <Text size="xs" c={bad ? 'var(--hub-bad)' : 'dimmed'}>
        {name}
      </Text>
      <Text fw={600} size="lg" className="hub-number" {...(bad ? { c: 'var(--hub-bad)' } : {})}>
        {count(value)}
      </Text>
    </Stack>
  )
}

function Sign({ children }: { children: string }) {
  return (
    <Text size="lg" c="dimmed" aria-hidden>
      {children}
    </Text>
  )
}
