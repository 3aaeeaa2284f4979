import { Group, Stack, Text } from '@mantine/core'

import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { valueAt } from '../../parts/search/language'
import { TimeAgo } from '../../parts/Time'
import { type EventDocument, timeOf } from '../events/types'

const FIELDS = ['device.brand', 'device.model', 'device.type', 'os.name', 'app.name']

interface Device {
  name: string
  last: string
  events: number
}

/** With what somebody came, as far as the events that are shown say so. */
export function DevicesOf({ events, hasMore }: { events: EventDocument[]; hasMore: boolean }) {
  const found = devices(events)
  return (
    <Panel title="Devices">
      {found.length === 0 ? (
        <Text size="sm" c="dimmed">
          None is known: events say it by the header User-Agent.
        </Text>
      ) : (
        <Stack gap={4}>
          {found.map((one) => (
            <Group key={one.name} justify="space-between" wrap="nowrap" gap="xs">
              <Text size="sm" style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
                {one.name}
              </Text>
              <Text size="xs" c="dimmed" style={{ flex: 'none' }}>
                <TimeAgo at={one.last} />
              </Text>
            </Group>
          ))}
          {hasMore && (
            <Text size="xs" c="dimmed">
              Of the newest {count(events.length)} events.
            </Text>
          )}
        </Stack>
      )}
    </Panel>
  )
}

function devices(events: EventDocument[]): Device[] {
  const found = new Map<string, Device>()
  for (const event of events) {
    const name = FIELDS.map((field) => valueAt(event, field))
      .filter((part) => typeof part === 'string' && part !== '')
      .join(', ')
    if (name === '') continue
    const one = found.get(name)
    if (one) one.events += 1
    // the newest comes first
    else found.set(name, { name, last: timeOf(event), events: 1 })
  }
  return [...found.values()]
}
