import { Anchor, Button, Center, Group, Skeleton, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { literal } from '../../parts/search/language'
import { Value } from '../../parts/Value'
import { type EventDocument, timeOf } from '../events/types'

const day = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

interface Props {
  id: string
  found: {
    items: EventDocument[]
    error: Error | null
    isPending: boolean
    hasMore: boolean
    isFetchingMore: boolean
    more: () => void
    refetch: () => void
  }
}

/** What somebody did, newest first, by day. */
export function TimelineOf({ id, found }: Props) {
  if (found.error !== null && found.items.length === 0) return <ErrorNotice error={found.error} retry={found.refetch} />
  if (found.isPending) return <Skeleton height={320} />
  if (found.items.length === 0) {
    return (
      <EmptyState title="No event is kept of them" action={{ label: 'Search all events', to: '/events' }}>
        They may have been removed, as no event is kept longer than the retention says.
      </EmptyState>
    )
  }
  return (
    <Stack gap="sm">
      {byDay(found.items).map(({ at, events }) => (
        <section key={at} aria-label={at}>
          <Text size="sm" fw={600} mb={4} component="h3">
            {at}
          </Text>
          <Stack gap={2} component="ul" m={0} p={0} style={{ listStyle: 'none' }}>
            {events.map((event) => (
              <Row key={event.id} event={event} />
            ))}
          </Stack>
        </section>
      ))}
      <ErrorNotice error={found.error} retry={found.refetch} />
      <Center>
        <Group>
          {found.hasMore && (
            <Button variant="default" loading={found.isFetchingMore} onClick={found.more}>
              Show more
            </Button>
          )}
          <Anchor component={Link} href={`/events?q=${encodeURIComponent(`profile.id = ${literal(id)}`)}`} size="sm">
            Search these events
          </Anchor>
        </Group>
      </Center>
    </Stack>
  )
}

function Row({ event }: { event: EventDocument }) {
  const at = timeOf(event)
  return (
    <Group component="li" gap="sm" wrap="nowrap" align="baseline" mih={25}>
      <time dateTime={at} title={at} className="hub-number" style={{ flex: 'none', fontSize: 'var(--mantine-font-size-sm)', color: 'var(--mantine-color-dimmed)' }}>
        {clock.format(new Date(at))}
      </time>
      <Text size="sm" style={{ flex: 'none' }} truncate maw="45%">
        <Anchor component={Link} href={path`/events/${event.id}`} inherit>
          {event.type}
        </Anchor>
      </Text>
      <Text size="sm" c="dimmed" truncate style={{ minWidth: 0 }}>
        {Object.keys(event.properties).length > 0 && <Value value={event.properties} />}
      </Text>
    </Group>
  )
}

function byDay(events: EventDocument[]): { at: string; events: EventDocument[] }[] {
  const days: { at: string; events: EventDocument[] }[] = []
  for (const event of events) {
    const at = day.format(new Date(timeOf(event)))
    const last = days.at(-1)
    if (last?.at === at) last.events.push(event)
    else days.push({ at, events: [event] })
  }
  return days
}
