import { Grid, Skeleton, Stack } from '@mantine/core'

import { path, Problem } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Id } from '../../parts/Id'
import { Json } from '../../parts/Json'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { TimeAgo } from '../../parts/Time'
import { useIdInPath } from '../../parts/useIdInPath'
import { Around } from './Around'
import { Story } from './Story'
import type { Trace } from './types'
import { Unknown } from './Unknown'

/** What happened to one event, from the edge to the profile. */
export default function Event() {
  const id = useIdInPath()
  return <One key={id} id={id} />
}

function One({ id }: { id: string }) {
  const trace = useGet<Trace>(path`/events/${id}/trace`)
  const isLetter = trace.data?.kind === 'dead-letter'
  const event = useGet<unknown>(isLetter ? path`/dead-letters/${id}` : path`/events/${id}`, {}, { enabled: trace.data !== undefined })
  const header = (
    <PageHeader
      title={trace.data?.type ?? (isLetter ? 'Dead letter' : 'Event')}
      above={[{ label: 'Events', to: '/events' }]}
      badge={
        <>
          <Id id={id} of="id of the event" />
          {trace.data && <TimeAgo at={trace.data.edge.received_at} />}
        </>
      }
    />
  )
  if (trace.error !== null && trace.data === undefined) {
    const isUnknown = trace.error instanceof Problem && trace.error.status === 404
    return (
      <>
        {header}
        {isUnknown ? (
          <Unknown problem={trace.error as Problem} again={() => void trace.refetch()} />
        ) : (
          <ErrorNotice error={trace.error} retry={() => void trace.refetch()} />
        )}
      </>
    )
  }
  return (
    <>
      {header}
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 8 }}>
          <Panel title="What happened to it">{trace.data ? <Story trace={trace.data} /> : <Skeleton height={520} />}</Panel>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 4 }}>
          <Stack gap="md">
            {trace.data ? !isLetter && <Around trace={trace.data} /> : <Skeleton height={120} />}
            <Panel title="What was stored">
              <ErrorNotice error={event.error} />
              {event.data !== undefined ? <Json value={event.data} label="the event as it was stored" /> : <Skeleton height={300} />}
            </Panel>
          </Stack>
        </Grid.Col>
      </Grid>
    </>
  )
}
