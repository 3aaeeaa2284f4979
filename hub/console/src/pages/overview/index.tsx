import { Anchor, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { Problem } from '../../api/client'
import { useGet } from '../../api/hooks'
import type { Balance, Ready } from '../../api/types'
import { Chart } from '../../parts/Chart'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { compact, count, rate } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { Stat } from '../../parts/Stat'
import { StateBadge } from '../../parts/StateBadge'
import { BalanceSheet } from './BalanceSheet'
import { Bridges } from './Bridges'
import { perMinute } from './minutes'
import { useRate } from './useRate'

const EVERY_MS = 2_000
const MINUTES = 60

export default function Overview() {
  const from = `${new Date(Date.now() - MINUTES * 60_000).toISOString().slice(0, 16)}Z`
  const balance = useGet<Balance>('/balance', { from }, { every: EVERY_MS })
  const ready = useGet<Ready>('/ready', {}, { every: EVERY_MS })
  const received = useRate(balance.data?.totals.received, balance.dataUpdatedAt)
  const stored = useRate(balance.data?.totals.stored, balance.dataUpdatedAt)
  const header = (
    <PageHeader
      title="Overview"
      about="Was anything lost, and is everything running? Renewed every 2 s."
      badge={balance.data && <StateBadge {...verdict(balance.data, ready.error)} />}
    />
  )
  if (balance.data === undefined) {
    return (
      <>
        {header}
        {balance.isPending ? <Loading /> : <ErrorNotice error={balance.error} retry={() => void balance.refetch()} />}
      </>
    )
  }
  const { totals } = balance.data
  const minutes = perMinute(balance.data.rows, MINUTES)
  return (
    <>
      {header}
      <Stack gap="md">
        <ErrorNotice error={balance.error} />
        {totals.received === 0 ? (
          <EmptyState title="No event has come yet" action={{ label: 'Send the first event', to: '/start' }}>
            The guide has a snippet that works when pasted, and takes two minutes. Or connect a queue: see{' '}
            <Anchor component={Link} href="/bridges" inherit>
              Bridges
            </Anchor>
            .
          </EmptyState>
        ) : (
          <>
            <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} spacing="sm">
              <Stat label="Received" value={received === null ? '…' : rate(received)} unit="events/s" about="By every door and bridge, over the last 2 s." />
              <Stat label="Stored" value={stored === null ? '…' : rate(stored)} unit="events/s" about="Acknowledged by the store, over the last 2 s." />
              <Stat label="In flight" value={count(totals.in_flight)} unit="records" about="On Kafka, and not stored yet." />
              <Stat label="Stored so far" value={<span title={count(totals.stored)}>{compact(totals.stored)}</span>} unit="events" />
              <Stat
                label="Dead letters"
                value={<span title={count(totals.dead)}>{compact(totals.dead)}</span>}
                unit="events"
                about="Could not be taken, since the beginning. They are kept, and can be sent again."
                {...(totals.dead > 0 ? { tone: 'warn' as const } : {})}
              />
            </SimpleGrid>
            <BalanceSheet sheet={balance.data} />
            <Panel title="Last hour">
              <Chart
                label="Events a minute"
                summary={`In the last whole minute ${count(minutes.stored.at(-2) ?? 0)} events were stored.`}
                times={minutes.times}
                series={[
                  { label: 'stored', values: minutes.stored, color: 1 },
                  { label: 'duplicate or dropped', values: minutes.left, color: 2 },
                  { label: 'dead', values: minutes.dead, color: 4 },
                ]}
              />
            </Panel>
          </>
        )}
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
          <Panel title="Health">
            <Health ready={ready.data} error={ready.error} />
          </Panel>
          <Bridges every={EVERY_MS} />
        </SimpleGrid>
      </Stack>
    </>
  )
}

function verdict(balance: Balance, error: Error | null) {
  if (!balance.balanced) return { state: 'does not add up', tone: 'bad' as const }
  if (error !== null) return { state: 'not ready', tone: 'bad' as const }
  return { state: 'all accounted for', tone: 'good' as const }
}

function Health({ ready, error }: { ready: Ready | undefined; error: Error | null }) {
  const failed = error instanceof Problem ? ((error.more['failed'] ?? {}) as Record<string, string>) : {}
  if (error !== null && Object.keys(failed).length === 0) return <ErrorNotice error={error} />
  const parts = [...new Set([...(ready?.checks ?? []), ...Object.keys(failed)])]
  return (
    <Stack gap={6}>
      {parts.map((part) => (
        <Group key={part} justify="space-between" wrap="nowrap" gap="md">
          <Text tt="capitalize">{part}</Text>
          {failed[part] === undefined ? (
            <StateBadge state="ready" />
          ) : (
            <Text c="var(--hub-bad)" size="sm" ta="right" style={{ overflowWrap: 'anywhere' }}>
              {failed[part]}
            </Text>
          )}
        </Group>
      ))}
    </Stack>
  )
}
