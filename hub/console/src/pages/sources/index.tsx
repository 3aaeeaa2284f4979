import { Anchor, Code as Mono, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link, useSearchParams } from 'wouter'

import { url } from '../../api/client'
import { useGet } from '../../api/hooks'
import type { Balance } from '../../api/types'
import { ActionButton } from '../../parts/ActionButton'
import { CopyButton } from '../../parts/CopyButton'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { compact, count, several } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { NewSource } from './NewSource'
import { Snippets } from './Snippets'
import { SourceSettings } from './SourceSettings'
import { nameOf, type SourceEntry } from './types'

export default function Sources() {
  const [search, setSearch] = useSearchParams()
  const [isNew, { open, close }] = useDisclosure(search.get('new') !== null)
  const sources = useGet<{ items: SourceEntry[] }>('/definitions/source')
  // the sums of all sources come with each answer; of the rows only the newest minute
  const balance = useGet<Balance>('/balance', { from: minute() }, { every: 5_000 })
  const received = new Map(balance.data?.sources.map((row) => [row.source, row.received]))
  const chosen = search.get('id')
  const found = sources.data?.items.find(({ id }) => id === chosen)
  const newSource = (
    <ActionButton needs="admin" onClick={open}>
      New source
    </ActionButton>
  )
  return (
    <>
      <PageHeader
        title={found === undefined ? 'Sources' : nameOf(found)}
        about={found === undefined ? 'Who may send events, with a snippet to copy.' : undefined}
        {...(found === undefined ? {} : { above: [{ label: 'Sources', to: '/sources' }] })}
      >
        {found === undefined && newSource}
      </PageHeader>
      {chosen !== null && found === undefined && !sources.isPending && (
        <EmptyState title="There is no source with this id" action={{ label: 'All sources', to: '/sources' }}>
          Nobody has defined <Mono>{chosen}</Mono>, or it has been deleted.
        </EmptyState>
      )}
      {found !== undefined && <One source={found} received={received.get(found.id) ?? 0} />}
      {chosen === null && (
        <DataTable
          label="Sources"
          rows={sources.data?.items ?? []}
          isPending={sources.isPending}
          error={sources.error}
          retry={() => void sources.refetch()}
          id={({ id }) => id}
          to={({ id }) => url('/sources', { id })}
          empty={
            <EmptyState title="Nobody may send events yet" action={{ label: 'Send the first event', to: '/start' }}>
              A source is a site, an app, a server or a queue. The guide makes the first one and has a snippet that works when pasted.
            </EmptyState>
          }
          columns={[
            { title: 'Source', cell: nameOf },
            { title: 'Id', cell: ({ id }) => <Mono>{id}</Mono> },
            { title: 'State', cell: ({ spec }) => <StateBadge state={spec.enabled ? 'enabled' : 'off'} tone={spec.enabled ? 'good' : 'idle'} /> },
            { title: 'Doors', cell: ({ spec }) => spec.type.join(', ') },
            { title: 'Write keys', right: true, cell: ({ spec }) => count(spec.write_keys.length) },
            { title: 'Most events/s', right: true, cell: ({ spec }) => (spec.rate_limit === 0 ? 'no limit' : count(spec.rate_limit)) },
            {
              title: 'Received, events',
              right: true,
              cell: ({ id }) => <span title={count(received.get(id) ?? 0)}>{compact(received.get(id) ?? 0)}</span>,
            },
          ]}
        />
      )}
      <NewSource
        opened={isNew}
        close={close}
        onMade={(id) => {
          setSearch({ id })
        }}
      />
    </>
  )
}

const minute = () => `${new Date(Date.now() - 60_000).toISOString().slice(0, 16)}Z`

function One({ source, received }: { source: SourceEntry; received: number }) {
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Panel title="Send events">
        <Stack gap="sm">
          <Group gap={4}>
            <Text c="dimmed">Source id</Text>
            <Mono>{source.id}</Mono>
            <CopyButton value={source.id} label="Copy the source’s id" />
          </Group>
          <Text>
            {received === 0 ? 'Nothing has come yet.' : `${several(received, 'event')} so far.`}{' '}
            <Anchor component={Link} href={received === 0 ? url('/start', { source: source.id }) : url('/events', { q: `source.id = ${JSON.stringify(source.id)}` })}>
              {received === 0 ? 'Wait for the first event' : 'Look at them'}
            </Anchor>
          </Text>
          <Snippets source={source} />
        </Stack>
      </Panel>
      <Panel title="Settings">
        <SourceSettings source={source} />
      </Panel>
    </SimpleGrid>
  )
}
