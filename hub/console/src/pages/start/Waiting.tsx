import { Anchor, Button, Code as Mono, Group, Loader, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path, url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'

interface Found {
  id: string
  type: string
  metadata?: { time?: { insert?: string } }
  profile?: { id?: string } | null
}

interface Refused {
  refused?: { rows: { source: string; minute: string; reason: string; payloads: number }[] }
}

const EVERY_MS = 1_000

/** Looks for the newest event of a source until there is one, and says what came instead. */
export function Waiting({ source }: { source: string }) {
  const q = `source.id = ${JSON.stringify(source)}`
  const events = useGet<{ items: Found[] }>('/events', { q, size: 1 }, { every: EVERY_MS })
  const event = events.data?.items[0]
  return (
    <Panel title="3. See it arrive" aside={event && <StateBadge state="done" />}>
      <div aria-live="polite">
        {event === undefined ? (
          <Stack gap="sm">
            <Group gap="sm">
              <Loader size="xs" aria-hidden />
              <Text>
                Waiting for the first event of <Mono>{source}</Mono>. It shows here a moment after it was sent.
              </Text>
            </Group>
            <ErrorNotice error={events.error} />
            <Instead source={source} />
          </Stack>
        ) : (
          <Stack gap="sm" align="flex-start">
            <Text>
              It is here: <b style={{ overflowWrap: 'anywhere' }}>{event.type}</b>, stored <TimeAgo at={event.metadata?.time?.insert} />. Everything that happened
              to it, from the edge to the customer’s profile, is its story.
            </Text>
            <Group gap="xs">
              <Button component={Link} href={path`/events/${event.id}`} size="sm">
                See its story
              </Button>
              {event.profile?.id !== undefined && (
                <Button component={Link} href={path`/profiles/${event.profile.id}`} variant="default" size="sm">
                  See the customer
                </Button>
              )}
            </Group>
          </Stack>
        )}
      </div>
    </Panel>
  )
}

/** What came and was no event: refused at the door, or a dead letter. */
function Instead({ source }: { source: string }) {
  const from = `${new Date(Date.now() - 10 * 60_000).toISOString().slice(0, 16)}Z`
  const balance = useGet<Refused>('/balance', { from }, { every: 3_000 })
  const letters = useGet<{ count: number }>('/dead-letters/count', { q: `source = ${JSON.stringify(source)} AND status = open` }, { every: 3_000 })
  const rows = balance.data?.refused?.rows.filter((row) => row.source === source || row.source === '') ?? []
  const dead = letters.data?.count ?? 0
  return (
    <>
      {rows.length > 0 && (
        <Text c="var(--hub-warn)">
          In the last 10 min the hub refused {several(rows.reduce((sum, row) => sum + row.payloads, 0), 'payload')}:{' '}
          {[...new Set(rows.map(({ reason }) => reason.replaceAll('_', ' ')))].join(', ')}. The answer to the sender has the details.
        </Text>
      )}
      {dead > 0 && (
        <Text c="var(--hub-warn)">
          {several(dead, 'message')} of this source could not be taken:{' '}
          <Anchor component={Link} href={url('/dead-letters', { source })}>
            see why
          </Anchor>
          .
        </Text>
      )}
    </>
  )
}
