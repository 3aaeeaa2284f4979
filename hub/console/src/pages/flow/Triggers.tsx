import { Button, Group, Select, Stack, Text, TextInput } from '@mantine/core'

import { mono } from '../../parts/mono'
import { Panel } from '../../parts/Panel'
import type { FlowSpec, Trigger } from './types'

/** What each kind of trigger is told, and what that means. */
const KINDS: Record<string, Record<string, string>> = {
  event: { event_type: 'Type of the event', source: 'Only of this source', condition: 'Only if' },
  'segment-entered': { segment: 'Id of the segment', condition: 'Only if' },
  'segment-left': { segment: 'Id of the segment', condition: 'Only if' },
  heartbeat: { heartbeat: 'Id of the heartbeat', condition: 'Only if' },
  schedule: { cron: 'Cron line, such as 0 9 * * MON', every: 'Or every, such as 1d', time_zone: 'Time zone', condition: 'For whom: a query on the profile' },
  manual: {},
}

/** What lets the flow run. */
export function Triggers({ flow, onChange }: { flow: FlowSpec; onChange: (flow: FlowSpec) => void }) {
  const triggers = flow.triggers ?? []
  const set = (n: number, trigger: Trigger | null) => {
    const next = [...triggers]
    next.splice(n, 1, ...(trigger === null ? [] : [trigger]))
    onChange({ ...flow, triggers: next })
  }
  return (
    <Panel
      title="What lets it run"
      aside={
        <Button variant="default" onClick={() => { onChange({ ...flow, triggers: [...triggers, { type: 'event', event_type: '' }] }) }}>
          Add trigger
        </Button>
      }
    >
      <Stack gap="sm">
        {triggers.length === 0 && <Text c="dimmed">Nothing yet: add a trigger, such as an event of a type.</Text>}
        {triggers.map((trigger, n) => (
          <Group key={n} align="flex-end" gap="xs" role="group" aria-label={`Trigger ${n + 1}`}>
            <Select
              label="When"
              data={Object.keys(KINDS)}
              allowDeselect={false}
              value={trigger.type}
              onChange={(type) => { set(n, { type: type ?? 'event' }) }}
              w={150}
            />
            {Object.entries(KINDS[trigger.type] ?? {}).map(([name, label]) => (
              <TextInput
                key={name}
                label={label}
                styles={mono}
                value={String(trigger[name] ?? '')}
                onChange={(event) => {
                  const { [name]: _, ...others } = trigger
                  const text = event.currentTarget.value
                  set(n, text === '' ? (others as Trigger) : { ...trigger, [name]: text })
                }}
                style={{ flex: 1, minWidth: 150 }}
              />
            ))}
            <Button variant="default" size="sm" onClick={() => { set(n, null) }} aria-label={`Remove trigger ${n + 1}`}>
              Remove
            </Button>
          </Group>
        ))}
      </Stack>
    </Panel>
  )
}
