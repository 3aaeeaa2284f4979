import { Anchor, Tabs, Text } from '@mantine/core'
import { useLocation, useSearchParams } from 'wouter'

import { url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import type { Line, Of } from '../bridge/types'
import { Cards } from './Cards'

const EVERY_MS = 2_000

export default function Bridges() {
  const [search, setSearch] = useSearchParams()
  const [, go] = useLocation()
  const of: Of = search.get('tab') === 'destinations' ? 'destination' : 'bridge'
  const connect = () => {
    go(url('/bridges/new', of === 'bridge' ? {} : { of }))
  }
  const label = of === 'bridge' ? 'Connect a queue' : 'New destination'
  return (
    <>
      <PageHeader title="Bridges" about={of === 'bridge' ? 'Queues that the hub reads.' : 'Systems that the hub sends stored events to.'}>
        <ActionButton needs="admin" onClick={connect}>
          {label}
        </ActionButton>
      </PageHeader>
      <Tabs
        value={of}
        onChange={(tab) => {
          setSearch(tab === 'destination' ? { tab: 'destinations' } : {}, { replace: true })
        }}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="bridge">Queues in</Tabs.Tab>
          <Tabs.Tab value="destination">Destinations out</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="bridge">
          <All of="bridge" connect={connect} />
        </Tabs.Panel>
        <Tabs.Panel value="destination">
          <All of="destination" connect={connect} />
        </Tabs.Panel>
      </Tabs>
    </>
  )
}

function All({ of, connect }: { of: Of; connect: () => void }) {
  const lines = useGet<{ items: Line[] }>(`/${of}s`, {}, { every: EVERY_MS })
  if (lines.data === undefined) {
    return lines.isPending ? <Loading /> : <ErrorNotice error={lines.error} retry={() => void lines.refetch()} />
  }
  return (
    <>
      <ErrorNotice error={lines.error} />
      {lines.data.items.length > 0 ? (
        <Cards lines={lines.data.items} of={of} />
      ) : of === 'bridge' ? (
        <EmptyState title="No queue is connected" action={{ label: 'Connect a queue', onClick: connect }}>
          The hub reads Kafka, RabbitMQ, MQTT, NATS, Redis, SQS, PostgreSQL, mailboxes and webhooks. It looks at some messages first, without taking any, and
          shows what becomes of them.
        </EmptyState>
      ) : (
        <EmptyState title="Nothing is sent outwards" action={{ label: 'New destination', onClick: connect }}>
          <Text span>
            A destination sends stored events to another system: HTTP, a queue, a database, files. All of them are in <Anchor href="/docs">the API</Anchor>, too.
          </Text>
        </EmptyState>
      )}
    </>
  )
}
