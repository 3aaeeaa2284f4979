import { Anchor, Box, Grid, Group, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { useList } from '../../api/hooks'
import { type Column, DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { QueryInput } from '../../parts/QueryInput'
import { Columns } from '../../parts/search/Columns'
import { Facets } from '../../parts/search/Facets'
import { valueAt } from '../../parts/search/language'
import { isBadQuery } from '../../parts/search/QueryError'
import { useAddress } from '../../parts/search/useAddress'
import { TimeAgo } from '../../parts/Time'
import { Value } from '../../parts/Value'
import { OverTime } from './OverTime'
import { type EventDocument, timeOf } from './types'

const SIZE = 50
const COLUMNS = ['profile.id', 'source.id', 'properties']
const FACETS = ['type', 'source.id', 'device.type']
const NO_FIELDS = '-'

/** Search everything that was stored. */
export default function Events() {
  const address = useAddress()
  const [q, from, to, by] = [address.get('q'), address.get('from'), address.get('to'), address.get('by')]
  const columns = chosen(address.list('column'), COLUMNS)
  const facets = chosen(address.list('facet'), FACETS)
  const found = useList<EventDocument>('/events', { q, size: SIZE, from, to })
  const ask = (next: string) => {
    address.set({ q: next })
  }
  const isAll = q === '' && from === ''
  return (
    <>
      <PageHeader title="Events" about="Everything that was stored, newest first." />
      <Stack gap="md">
        <Box>
          <QueryInput kind="events" value={q} onChange={ask} error={found.error} alone={['profile.id', 'type']} />
        </Box>
        {!isBadQuery(found.error) && (
          <Panel title="Over time">
            <OverTime
              q={q}
              from={from}
              to={to}
              by={by}
              newest={found.items[0] && timeOf(found.items[0])}
              // what was asked for comes first
              enabled={!found.isPending}
              onSpan={(begin, end) => {
                address.set({ from: begin, to: end })
              }}
              onBy={(field) => {
                address.set({ by: field }, { replace: true })
              }}
            />
          </Panel>
        )}
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 9 }} order={{ base: 1, md: 2 }}>
            <Panel
              title="Found"
              aside={
                <Group gap="xs">
                  <Text size="sm" c="dimmed" role="status">
                    {found.isFetching ? 'Searching…' : found.items.length > 0 ? `${found.items.length} shown${found.hasMore ? ', there are more' : ''}` : ''}
                  </Text>
                  <Columns
                    kind="events"
                    fields={columns}
                    onFields={(fields) => {
                      address.set({ column: stored(fields) }, { replace: true })
                    }}
                  />
                </Group>
              }
            >
              {isBadQuery(found.error) ? (
                <Text c="dimmed">The query is not valid: see above what is wrong with it.</Text>
              ) : (
                <DataTable
                  label="Events"
                  rows={found.items}
                  id={(event) => event.id}
                  to={(event) => path`/events/${event.id}`}
                  columns={[...FIXED, ...columns.map(column)]}
                  isPending={found.isPending}
                  error={found.items.length === 0 ? found.error : null}
                  retry={found.refetch}
                  hasMore={found.hasMore}
                  isFetchingMore={found.isFetchingMore}
                  more={found.more}
                  empty={
                    isAll ? (
                      <EmptyState title="No event has been stored yet" action={{ label: 'Send the first event', to: '/start' }}>
                        The guide has a snippet that works when pasted.
                      </EmptyState>
                    ) : (
                      <EmptyState title="No event matches" action={{ label: 'Show all events', onClick: () => { address.set({ q: '', from: '', to: '' }) } }}>
                        Nothing that was stored meets the query in this span of time. Texts are compared with regard to case; a field that is
                        not there meets no comparison but !=.
                      </EmptyState>
                    )
                  }
                />
              )}
              {found.items.length > 0 && !isBadQuery(found.error) && <ErrorNotice error={found.error} retry={found.refetch} />}
            </Panel>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 3 }} order={{ base: 2, md: 1 }}>
            <Panel title="Values">
              <Facets
                kind="events"
                q={q}
                fields={facets}
                onFields={(fields) => {
                  address.set({ facet: stored(fields) }, { replace: true })
                }}
                documents={found.items}
                onQuery={ask}
              />
            </Panel>
          </Grid.Col>
        </Grid>
      </Stack>
    </>
  )
}

const FIXED: Column<EventDocument>[] = [
  { title: 'Type', cell: (event) => <Text component="span" inherit style={{ whiteSpace: 'nowrap' }}>{event.type.slice(0, 60)}</Text> },
  { title: 'Time', cell: (event) => <TimeAgo at={timeOf(event)} /> },
]

function column(field: string): Column<EventDocument> {
  return {
    title: field,
    fill: field === 'properties',
    cell: (event) => {
      const value = valueAt(event, field)
      if (field === 'profile.id' && typeof value === 'string') {
        return (
          <Text size="sm" truncate maw={200}>
            <Anchor component={Link} href={path`/profiles/${value}`} inherit title={value}>
              {value}
            </Anchor>
          </Text>
        )
      }
      return (
        <Text size="sm" truncate {...(field === 'properties' ? {} : { maw: 220 })}>
          <Value value={value} />
        </Text>
      )
    },
  }
}

/** None is another thing than the usual ones. */
const stored = (fields: string[]): string[] => (fields.length ? fields : [NO_FIELDS])
const chosen = (kept: string[], usual: string[]): string[] => (kept.length ? kept.filter((one) => one !== NO_FIELDS) : usual)
