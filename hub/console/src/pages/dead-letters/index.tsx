import { Group, SegmentedControl, Select, Stack, Text } from '@mantine/core'
import { useSearchParams } from 'wouter'

import { useGet, useList } from '../../api/hooks'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { several } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { QueryInput } from '../../parts/QueryInput'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { Groups } from './Groups'
import { One } from './One'
import { ReplayAll } from './ReplayAll'
import { type Filter, type Letter, queryOf } from './types'

const EVERY_MS = 5_000

export default function DeadLetters() {
  const [search, setSearch] = useSearchParams()
  const filter: Filter = {
    status: search.get('status') ?? 'open',
    reason: search.get('reason') ?? '',
    source: search.get('source') ?? '',
    stage: search.get('stage') ?? '',
    q: search.get('q') ?? '',
  }
  const query = queryOf(filter)
  const id = search.get('id')
  const letters = useList<Letter>('/dead-letters', { q: query, size: 50 }, { every: EVERY_MS, enabled: id === null })
  const matching = useGet<{ count: number }>('/dead-letters/count', { q: query }, { every: EVERY_MS, enabled: id === null })

  function set(change: Partial<Filter> & { id?: string }) {
    const next = { ...filter, ...change }
    const { status, ...others } = next
    const kept = Object.entries(others).filter(([, value]) => value !== '')
    setSearch({ ...Object.fromEntries(kept), ...(status === 'open' ? {} : { status }) })
  }
  const to = (letter: Letter) => {
    const next = new URLSearchParams(search)
    next.set('id', letter.id)
    return `/dead-letters?${next}`
  }

  if (id !== null) return <One key={id} id={id} />
  const isFiltered = filter.reason !== '' || filter.source !== '' || filter.stage !== '' || filter.q !== ''
  return (
    <>
      <PageHeader title="Dead letters" about="What could not be taken, why, and how to send it again. Nothing is thrown away.">
        <ReplayAll query={queryOf({ ...filter, status: 'open' })} matched={filter.status === 'open' ? matching.data?.count : undefined} isFiltered={isFiltered} />
      </PageHeader>
      <Stack gap="md">
        <Group gap="sm" align="flex-end">
          <SegmentedControl
            aria-label="Which letters"
            data={[
              { value: 'open', label: 'Open' },
              { value: 'resolved', label: 'Resolved' },
              { value: 'all', label: 'All' },
            ]}
            value={filter.status}
            onChange={(status) => { set({ status }) }}
          />
          <div style={{ flex: '1 1 220px' }}>
            <QueryInput kind="dead-letters" placeholder='Search dead letters, such as reason = "schema_violation"' value={filter.q} onChange={(q) => { set({ q }) }} error={letters.error} />
          </div>
          <Select
            aria-label="Where it failed"
            placeholder="Failed anywhere"
            clearable
            data={[
              { value: 'bridge', label: 'At a bridge' },
              { value: 'collector', label: 'At the collector' },
              { value: 'destination', label: 'At a destination' },
            ]}
            value={filter.stage || null}
            onChange={(stage) => { set({ stage: stage ?? '' }) }}
            clearButtonProps={{ 'aria-label': 'Failed anywhere' }}
            w={180}
          />
        </Group>
        <Groups filter={filter} choose={(reason, source) => { set({ reason, source }) }} />
        <Panel
          title={matching.data === undefined ? 'Letters' : several(matching.data.count, 'letter')}
          aside={
            <Text size="sm" c="dimmed">
              {filter.reason === '' ? 'of every reason' : filter.reason}, {filter.source === '' ? 'of every source' : filter.source}
            </Text>
          }
        >
          <DataTable
            {...letters}
            label="Dead letters"
            rows={letters.items}
            retry={letters.refetch}
            id={(letter) => letter.id}
            to={to}
            empty={
              isFiltered || filter.status !== 'open' ? (
                <Text c="dimmed">No letter matches. Choose another reason, source or state.</Text>
              ) : (
                <EmptyState title="Nothing is dead" action={{ label: 'Was anything lost? See the balance', to: '/' }}>
                  A message that cannot be taken comes here with its original bytes and the reason, and can be sent again once that is mended.
                </EmptyState>
              )
            }
            columns={[
              { title: 'Reason', cell: ({ reason }) => reason },
              { title: 'Failed', cell: ({ at }) => <TimeAgo at={at} /> },
              { title: 'Why', cell: ({ detail }) => <Text size="sm" lineClamp={2} style={{ overflowWrap: 'anywhere', minWidth: 180 }}>{detail}</Text> },
              { title: 'Source', cell: ({ source }) => source },
              { title: 'From', cell: ({ origin }) => <Text size="xs" ff="monospace" style={{ overflowWrap: 'anywhere', minWidth: 120 }}>{origin}</Text> },
              { title: 'Attempts', right: true, cell: ({ attempts }) => attempts },
              { title: 'State', cell: ({ status }) => <StateBadge state={status} tone={status === 'open' ? 'warn' : 'good'} /> },
            ]}
          />
        </Panel>
      </Stack>
    </>
  )
}
