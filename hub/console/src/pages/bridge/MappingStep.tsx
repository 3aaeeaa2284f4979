import { Anchor, Button, Group, List, Select, SimpleGrid, Stack, Text, Textarea } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useState } from 'react'

import { useGet } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { JsonEditor } from '../../parts/JsonEditor'
import { several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import type { Draft } from './draft'
import { type Made, type Sample, suggested, typed } from './mapping'
import { Result } from './Result'
import { useMade } from './useMade'

interface Props {
  draft: Draft
  samples: Sample[]
  change: (change: Partial<Draft>) => void
  setSamples: (samples: Sample[]) => void
  /** Look at the broker again; null: its messages are brought. */
  look: (() => void) | null
  isLooking: boolean
  /** What the broker's own trial made of messages that are too long to be shown whole. */
  long: Map<string, Made>
}

const OWN = 'own'
const NONE = 'none'

/** Messages, and beside each what becomes of it with the mapping as it is now. */
export function MappingStep({ draft, samples, change, setSamples, look, isLooking, long }: Props) {
  const ready = useGet<{ items: { name: string; mapping: { description?: string } }[] }>('/mappings')
  const made = useMade(draft, samples)
  const isSuggested = samples[0] !== undefined && draft.mapping === JSON.stringify(suggested(samples[0].body), null, 2)
  const known = ready.data?.items ?? []
  const about = known.find(({ name }) => name === draft.way)?.mapping.description
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Panel title="How a message becomes an event">
          <Stack gap="sm">
            <Select
              label="Mapping"
              data={[
                { value: NONE, label: 'None: messages have the /track shape' },
                { value: OWN, label: 'My own' },
                { group: 'Ready-made', items: known.map(({ name }) => name) },
              ]}
              value={draft.way}
              allowDeselect={false}
              onChange={(way) => {
                const first = samples[0]
                const mapping = draft.mapping || JSON.stringify((first && suggested(first.body)) ?? { profile: 'customer_id', event: { type: 'type', properties: '@' } }, null, 2)
                change(way === OWN ? { way, mapping } : { way: way ?? NONE })
              }}
            />
            {about !== undefined && <Text c="dimmed">{about}</Text>}
            {draft.way === OWN && (
              <>
                <JsonEditor label="Mapping" value={draft.mapping} problems={made.problems} onChange={(mapping) => { change({ mapping }) }} />
                {isSuggested && <Text size="sm">Suggested by the first message: change it as you like, and see on the right what comes of it.</Text>}
                <Help />
              </>
            )}
            {draft.way !== OWN && draft.way !== NONE && (
              <Button
                variant="default"
                w="fit-content"
                onClick={() => { change({ way: OWN, mapping: JSON.stringify(known.find(({ name }) => name === draft.way)?.mapping ?? {}, null, 2) }) }}
              >
                Change it
              </Button>
            )}
            <div aria-live="polite">
              {made.fault !== null && <Text c="var(--hub-warn)">The mapping is no JSON yet: {made.fault}</Text>}
              <List size="sm">
                {made.findings.map((one) => (
                  <List.Item key={`${one.where}${one.detail}`} style={{ overflowWrap: 'anywhere' }}>
                    <Text span c={one.level === 'error' ? 'var(--hub-bad)' : 'var(--hub-warn)'} inherit>
                      {one.level}: {one.where && `${one.where}: `}
                      {one.detail}
                    </Text>
                  </List.Item>
                ))}
              </List>
            </div>
            <ErrorNotice error={made.error} />
          </Stack>
        </Panel>
        <Panel
          title={samples.length === 0 ? 'Messages' : several(samples.length, 'message')}
          aside={
            look !== null && (
              <Button variant="default" loading={isLooking} onClick={look}>
                Look again
              </Button>
            )
          }
        >
          <Stack gap="sm">
            {samples.length === 0 && (
              <Text c="dimmed">
                {look === null
                  ? 'Messages of this kind are sent to the hub, so none wait. Paste one to see what becomes of it.'
                  : 'It is connected, and no message waits now. Send one and look again, or paste one here.'}
              </Text>
            )}
            {samples.map((sample, n) => (
              <Result key={`${n}${sample.position}`} sample={sample} made={sample.isCut ? long.get(sample.position) : made.of(sample)} />
            ))}
            {samples.some(({ isCut }) => isCut) && (
              <Text size="sm" c="dimmed">
                Those that are cut off are not tried as you type: look again to try the mapping on the whole of them.
              </Text>
            )}
            <Paste add={(body) => { setSamples([...samples, typed(body)]) }} />
          </Stack>
        </Panel>
      </SimpleGrid>
    </Stack>
  )
}

function Paste({ add }: { add: (body: string) => void }) {
  const [isOpen, { toggle, close }] = useDisclosure()
  const [text, setText] = useState('')
  if (!isOpen) {
    return (
      <Button variant="default" w="fit-content" onClick={toggle}>
        Paste a message
      </Button>
    )
  }
  return (
    <Stack gap="xs">
      <Textarea
        label="Message"
        description="As the queue has it; it goes nowhere."
        autosize
        minRows={3}
        maxRows={12}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
        autoFocus
        value={text}
        onChange={(event) => { setText(event.currentTarget.value) }}
      />
      <Group gap="xs">
        <Button
          disabled={text.trim() === ''}
          onClick={() => {
            add(text)
            setText('')
            close()
          }}
        >
          Try it
        </Button>
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
      </Group>
    </Stack>
  )
}

function Help() {
  return (
    <Text size="sm" c="dimmed">
      <code>profile</code> says who it is, <code>event.type</code> what happened. Values are expressions on the message (
      <Anchor href="https://jmespath.org" size="sm" target="_blank" rel="noreferrer">
        JMESPath
      </Anchor>
      ): <code>customer.id</code> is a field, <code>{"'purchase'"}</code> in single quotes a fixed text, <code>@</code> the whole message,{' '}
      <code>number(price)</code> a number of a text, <code>{"parse_time(at, 'unix')"}</code> a time.
    </Text>
  )
}
