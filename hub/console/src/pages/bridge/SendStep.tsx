import { Button, Stack, Text } from '@mantine/core'

import { ErrorNotice } from '../../parts/ErrorNotice'
import { JsonEditor } from '../../parts/JsonEditor'
import { Panel } from '../../parts/Panel'
import type { Draft } from './draft'
import { type Rehearsed, Sent } from './Sent'

interface Props {
  draft: Draft
  change: (change: Partial<Draft>) => void
  shown: Rehearsed[] | undefined
  error: unknown
  isLooking: boolean
  look: () => void
}

/** What a destination sends of an event. */
export function SendStep({ draft, change, shown, error, isLooking, look }: Props) {
  return (
    <Stack gap="md">
      <Panel title="What is sent of an event">
        <Stack gap="xs">
          <JsonEditor
            label="Mapping"
            value={draft.mapping}
            height={120}
            onChange={(mapping) => { change({ mapping, way: mapping.trim() === '' ? 'none' : 'own' }) }}
          />
          <Text size="sm" c="dimmed">
            Empty: the event as the hub keeps it. Else a template: expressions by field, such as {'{"who": "profile.id", "amount": "properties.amount"}'}.
          </Text>
        </Stack>
      </Panel>
      <Panel
        title="On stored events"
        aside={
          <Button variant="default" loading={isLooking} onClick={look}>
            Look again
          </Button>
        }
      >
        <Stack gap="sm" aria-live="polite">
          <ErrorNotice error={error} />
          {shown?.length === 0 && <Text c="dimmed">No stored event matches yet. It can be activated all the same.</Text>}
          {shown?.map((message) => <Sent key={message.event} message={message} />)}
        </Stack>
      </Panel>
    </Stack>
  )
}
