import { Grid, Group, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'

import { path } from '../../api/client'
import { useList } from '../../api/hooks'
import { type Column, DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count } from '../../parts/numbers'
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
import { HowMany } from './HowMany'
import { nameOf, type ProfileDocument } from './types'

const SIZE = 50
const COLUMNS = ['segments', 'traits']
const FACETS = ['segments', 'traits.plan']
const NO_FIELDS = '-'
/** Of a column that is only there if somebody has one. */
const NAME = 'Name'

/** Find a customer. */
export default function Profiles() {
  const address = useAddress()
  const q = address.get('q')
  const columns = chosen(address.list('column'), COLUMNS)
  const facets = chosen(address.list('facet'), FACETS)
  const found = useList<ProfileDocument>('/profiles', { q, size: SIZE })
  const ask = (next: string) => {
    address.set({ q: next })
  }
  return (
    <>
      <PageHeader title="Profiles" about="Customers, newest first. Whoever was merged is found by each of their ids." />
      <Stack gap="md">
        <QueryInput kind="profiles" value={q} onChange={ask} error={found.error} placeholder='Search profiles, such as traits.plan = "gold"' alone={['id']} />
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 9 }} order={{ base: 1, md: 2 }}>
            <Panel
              title="Found"
              aside={
                <Group gap="xs">
                  <Text size="sm" c="dimmed" role="status">
                    {found.isFetching ? 'Searching…' : found.items.length > 0 ? `${count(found.items.length)} shown${found.hasMore ? ', there are more' : ''}` : ''}
                  </Text>
                  {found.hasMore && <HowMany key={q} q={q} />}
                  <Columns
                    kind="profiles"
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
                  label="Profiles"
                  rows={found.items}
                  id={(profile) => profile.id}
                  to={(profile) => path`/profiles/${profile.id}`}
                  columns={[...FIXED.filter(({ title }) => title !== NAME || found.items.some((profile) => nameOf(profile) !== '')), ...columns.map(column)]}
                  isPending={found.isPending}
                  error={found.items.length === 0 ? found.error : null}
                  retry={found.refetch}
                  hasMore={found.hasMore}
                  isFetchingMore={found.isFetchingMore}
                  more={found.more}
                  empty={
                    q === '' ? (
                      <EmptyState title="Nobody has come yet" action={{ label: 'Send the first event', to: '/start' }}>
                        A profile is made of the first event that comes with its id.
                      </EmptyState>
                    ) : (
                      <EmptyState title="Nobody matches" action={{ label: 'Show all profiles', onClick: () => { ask('') } }}>
                        An id finds somebody under every id that was ever theirs: id = &quot;…&quot;. Texts are compared with regard to case. What
                        happened is found by conditions such as count(purchase) &gt; 3, if a segment asks for it, too.
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
                kind="profiles"
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

const FIXED: Column<ProfileDocument>[] = [
  { title: 'Profile', cell: (profile) => <Text inherit truncate maw={320}>{profile.id.slice(0, 80)}</Text> },
  { title: NAME, cell: (profile) => <Cell>{nameOf(profile)}</Cell> },
  { title: 'Since', cell: (profile) => <TimeAgo at={profile.metadata.time.insert} /> },
  { title: 'Events', right: true, cell: (profile) => count(profile.stats.events) },
]

function column(field: string): Column<ProfileDocument> {
  return {
    title: field,
    fill: field === 'traits',
    cell: (profile) => {
      const value = valueAt(profile, field)
      return <Cell fill={field === 'traits'}>{field === 'segments' && Array.isArray(value) ? value.join(', ') : isNothing(value) ? '' : <Value value={value} />}</Cell>
    },
  }
}

/** An object without keys says nothing. */
const isNothing = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.keys(value).length === 0

function Cell({ children, fill = false }: { children: ReactNode; fill?: boolean }) {
  return (
    <Text size="sm" truncate {...(fill ? {} : { maw: 260 })}>
      {children}
    </Text>
  )
}

/** None is another thing than the usual ones. */
const stored = (fields: string[]): string[] => (fields.length ? fields : [NO_FIELDS])
const chosen = (kept: string[], usual: string[]): string[] => (kept.length ? kept.filter((one) => one !== NO_FIELDS) : usual)
