import { Group, Stack, Text, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { Steps } from './Steps'
import { type FlowSpec, type Lit, litBy, type Trial } from './types'

interface Props {
  id: string
  flow: FlowSpec
  onLit: (lit: Lit | null) => void
}

/** The flow as it is on the page, tried on an event and a profile: nothing is written, nobody is called. */
export function TestRun({ id, flow, onLit }: Props) {
  const [event, setEvent] = useState(() => sample(flow))
  const [profile, setProfile] = useState('')
  const run = useChange(() => {
    const body = { definition: flow, event: document(event), profile: profile.trim() === '' ? null : document(profile) }
    return hub.post<Trial>(path`/flows/${id}/test`, body)
  })
  const go = () => {
    onLit(null)
    run.mutate(undefined, { onSuccess: (tried) => { onLit(litBy(tried.legs)) } })
  }
  return (
    <Panel title="Test run">
      <Stack gap="sm">
        <Group align="flex-start">
          <Textarea
            label="Event"
            description="As JSON, or the id of a stored one"
            autosize
            minRows={3}
            maxRows={10}
            spellCheck={false}
            styles={mono}
            value={event}
            onChange={(change) => { setEvent(change.currentTarget.value) }}
            style={{ flex: 2, minWidth: 240 }}
          />
          <TextInput
            label="Profile"
            description="Its id, or JSON. Empty: that of the event"
            styles={mono}
            value={profile}
            onChange={(change) => { setProfile(change.currentTarget.value) }}
            style={{ flex: 1, minWidth: 200 }}
          />
        </Group>
        <Group>
          <ActionButton needs="read" onClick={go} loading={run.isPending}>
            Try it
          </ActionButton>
          <Text c="dimmed">Nothing is written, nobody is called. Pauses are taken to end at their time.</Text>
        </Group>
        <div aria-live="polite">
          <ErrorNotice error={run.error} />
          {run.data && (
            <Stack gap="sm">
              <Group>
                <StateBadge state={run.data.state} {...(run.data.error ? { hint: run.data.error } : {})} />
                {run.data.error && <Text c="var(--hub-bad)">{run.data.error}</Text>}
              </Group>
              <Steps legs={run.data.legs} />
            </Stack>
          )}
        </div>
      </Stack>
    </Panel>
  )
}

function document(text: string): unknown {
  const trimmed = text.trim()
  return trimmed.startsWith('{') ? (JSON.parse(trimmed) as unknown) : trimmed
}

/** An event of the type that the flow waits for. */
function sample({ triggers = [] }: FlowSpec): string {
  const type = triggers.map((trigger) => trigger['event_type']).find((one) => typeof one === 'string') ?? 'purchase'
  return JSON.stringify({ type, properties: {} }, null, 2)
}
