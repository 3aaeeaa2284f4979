import { Group, List, Stack, Text, Title } from '@mantine/core'

import type { Balance } from '../../api/types'
import { DataTable } from '../../parts/DataTable'
import { count, several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'

const PARTS = ['stored', 'duplicate', 'dropped', 'dead', 'in_flight'] as const

/** received = stored + duplicate + dropped + dead + in flight; whatever is missing, in red and with its cause. */
export function BalanceSheet({ sheet }: { sheet: Balance }) {
  const { totals, balanced, causes, sources } = sheet
  const off = totals.received - PARTS.reduce((sum, part) => sum + totals[part], 0)
  return (
    <Panel
      title="Balance sheet"
      aside={<StateBadge state={balanced ? 'balanced' : 'does not add up'} tone={balanced ? 'good' : 'bad'} />}
    >
      <Group gap="xs" align="flex-end" mb="sm" role="group" aria-label="Events since the beginning">
        <Term name="received" value={totals.received} />
        {PARTS.map((part, n) => (
          <Group key={part} gap="xs" align="flex-end" wrap="nowrap">
            <Sign>{n === 0 ? '=' : '+'}</Sign>
            <Term name={part.replace('_', ' ')} value={totals[part]} bad={false} />
          </Group>
        ))}
        {off !== 0 && (
          <Group gap="xs" align="flex-end" wrap="nowrap">
            <Sign>{off > 0 ? '+' : '−'}</Sign>
            <Term name={off > 0 ? 'missing' : 'too many'} value={Math.abs(off)} bad />
          </Group>
        )}
      </Group>
      {!balanced && (
        <Stack
          gap={4}
          mb="sm"
          p="sm"
          role="alert"
          style={{ background: 'var(--hub-bad-back)', border: '1px solid var(--hub-bad)', borderRadius: 6 }}
        >
          <Title order={3} c="var(--hub-bad)">
            {several(causes.length, 'difference')}
          </Title>
          <List size="sm" spacing={2}>
            {causes.map((cause) => (
              <List.Item key={cause}>{cause}</List.Item>
            ))}
          </List>
        </Stack>
      )}
      <DataTable
        label="Balance by source"
        rows={sources}
        id={(row) => row.source}
        empty="No source has sent anything yet."
        columns={[
          { title: 'Source', cell: (row) => row.source },
          { title: 'Received', right: true, cell: (row) => count(row.received) },
          { title: 'Stored', right: true, cell: (row) => count(row.stored) },
          { title: 'Duplicate', right: true, cell: (row) => count(row.duplicate) },
          { title: 'Dropped by rule', right: true, cell: (row) => count(row.dropped) },
          { title: 'Dead letters', right: true, cell: (row) => count(row.dead) },
          { title: 'Difference', right: true, cell: (row) => <Difference row={row} /> },
        ]}
      />
    </Panel>
  )
}

function Difference({ row }: { row: Balance['sources'][number] }) {
  const off = row.received - row.stored - row.duplicate - row.dropped - row.dead
  return off === 0 ? (
    <Text c="dimmed">0</Text>
  ) : (
    <Text c="var(--hub-bad)" fw={600}>
      {off > 0 ? `${count(off)} missing` : `${count(-off)} too many`}
    </Text>
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
