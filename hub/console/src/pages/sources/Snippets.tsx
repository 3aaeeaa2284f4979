import { Anchor, Group, SimpleGrid, Stack, Tabs, Text, TextInput } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'wouter'

import { url } from '../../api/client'
import { CopyButton } from '../../parts/CopyButton'
import { kafka, type Snippet, snippets } from './snippets'
import type { SourceEntry } from './types'

/** What to paste to send a first event of a source, with the address that this page came from. */
export function Snippets({ source }: { source: SourceEntry }) {
  const { type, write_keys: keys } = source.spec
  const made = type.includes('rest') ? snippets(location.origin, source.id, keys[0]) : []
  const hasQueues = type.includes('bridge')
  const first = made[0]?.id ?? 'kafka'
  if (made.length === 0 && !hasQueues) {
    return (
      <Text c="dimmed">
        This source takes no events over HTTP and none from queues: let it use the door “rest” or “bridge” in its settings.
      </Text>
    )
  }
  return (
    <Tabs defaultValue={first} keepMounted={false} key={source.id}>
      <Tabs.List>
        {made.map(({ id, label }) => (
          <Tabs.Tab key={id} value={id}>
            {label}
          </Tabs.Tab>
        ))}
        {hasQueues && <Tabs.Tab value="kafka">Kafka</Tabs.Tab>}
      </Tabs.List>
      {made.map((one) => (
        <Tabs.Panel key={one.id} value={one.id} pt="sm">
          <Code snippet={one} />
        </Tabs.Panel>
      ))}
      {hasQueues && (
        <Tabs.Panel value="kafka" pt="sm">
          <OfKafka source={source.id} />
        </Tabs.Panel>
      )}
      {type.includes('rest') && keys.length === 0 && (
        <Text size="sm" c="dimmed" mt="xs">
          For Segment’s and PostHog’s clients, give the source a write key in its settings.
        </Text>
      )}
    </Tabs>
  )
}

function OfKafka({ source }: { source: string }) {
  const [brokers, setBrokers] = useState('localhost:9092')
  const [topic, setTopic] = useState('events')
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput label="Your brokers" value={brokers} onChange={(event) => { setBrokers(event.currentTarget.value) }} />
        <TextInput label="Topic" value={topic} onChange={(event) => { setTopic(event.currentTarget.value) }} />
      </SimpleGrid>
      <Text>
        1. Let the hub read that topic:{' '}
        <Anchor component={Link} href={url('/bridges/new', { type: 'kafka', source, bootstrap: brokers, topics: topic })}>
          connect it
        </Anchor>
        . 2. Send a message:
      </Text>
      <Code snippet={kafka(brokers, topic)} />
    </Stack>
  )
}

export function Code({ snippet }: { snippet: Snippet }) {
  const label = `Snippet for ${snippet.label}`
  return (
    <Stack gap="xs">
      <Text size="sm" c="dimmed">
        {snippet.about}
      </Text>
      <div style={{ position: 'relative' }}>
        <Group pos="absolute" top={4} right={4}>
          <CopyButton value={snippet.code} label={`Copy the snippet for ${snippet.label}`} />
        </Group>
        <pre className="hub-json" tabIndex={0} role="region" aria-label={label} style={{ paddingRight: 40, maxHeight: 280 }}>
          {snippet.code}
        </pre>
      </div>
    </Stack>
  )
}
