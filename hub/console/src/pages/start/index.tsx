import { Anchor, Code as Mono, Group, List, Select, Stack, Text } from '@mantine/core'
import { useEffect } from 'react'
import { Link, useSearchParams } from 'wouter'

import { url } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { makeSource } from '../sources/NewSource'
import { Snippets } from '../sources/Snippets'
import { nameOf, newWriteKey, type SourceEntry } from '../sources/types'
import { Waiting } from './Waiting'

const FIRST = 'website'

export default function Start() {
  const [search, setSearch] = useSearchParams()
  const sources = useGet<{ items: SourceEntry[] }>('/definitions/source')
  const usable = sources.data?.items.filter(({ spec }) => spec.enabled && spec.type.includes('rest')) ?? []
  const source = usable.find(({ id }) => id === search.get('source')) ?? usable[0]
  const make = useChange(
    () => makeSource(FIRST, { name: 'Website', type: ['rest', 'bridge'], write_keys: [newWriteKey()] }),
    ['/definitions/source'],
  )
  // so that the address leads others to the same
  useEffect(() => {
    if (source !== undefined && search.get('source') !== source.id) setSearch({ source: source.id }, { replace: true })
  }, [source?.id])
  return (
    <>
      <PageHeader title="First event" about="From an empty hub to the first event in two minutes." />
      {sources.isPending && <Loading />}
      <ErrorNotice error={sources.error} retry={() => void sources.refetch()} />
      {sources.data !== undefined && (
        <Stack gap="md">
          <Panel title="1. Who sends" aside={source && <StateBadge state="done" />}>
            {source === undefined ? (
              <Stack gap="sm" align="flex-start">
                <Text>Every event comes from a source: a site, an app, a server or a queue. This one may be renamed at any time.</Text>
                <ActionButton needs="admin" size="sm" loading={make.isPending} onClick={() => { make.mutate() }}>
                  Make the source “Website”
                </ActionButton>
                <ErrorNotice error={make.error} />
              </Stack>
            ) : (
              <Group align="flex-end" gap="sm">
                <Select
                  label="Source"
                  data={usable.map((one) => ({ value: one.id, label: nameOf(one) }))}
                  value={source.id}
                  allowDeselect={false}
                  onChange={(id) => {
                    if (id !== null) setSearch({ source: id }, { replace: true })
                  }}
                />
                <Text size="sm" c="dimmed" pb={8}>
                  Its id is <Mono>{source.id}</Mono>.{' '}
                  <Anchor component={Link} href={url('/sources', { id: source.id })} size="sm">
                    Settings
                  </Anchor>
                </Text>
              </Group>
            )}
          </Panel>
          {source !== undefined && (
            <>
              <Panel title="2. Send it">
                <Snippets source={source} />
              </Panel>
              <Waiting key={source.id} source={source.id} />
            </>
          )}
          <Panel title="Then">
            <List size="sm" spacing={4}>
              <Next to="/bridges/new" what="Connect a queue">
                Kafka, RabbitMQ, MQTT, NATS, Redis, SQS, PostgreSQL, mail, webhooks.
              </Next>
              <Next to="/live" what="Watch events come in">
                As they are stored.
              </Next>
              <Next to="/segments" what="Make a segment">
                A group of customers that keeps itself up to date.
              </Next>
            </List>
          </Panel>
        </Stack>
      )}
    </>
  )
}

function Next({ to, what, children }: { to: string; what: string; children: string }) {
  return (
    <List.Item>
      <Anchor component={Link} href={to} size="sm">
        {what}
      </Anchor>
      : {children}
    </List.Item>
  )
}
