import { Button, Text } from '@mantine/core'
import { useQueries } from '@tanstack/react-query'

import { hub } from '../../api/client'
import { useGet } from '../../api/hooks'
import { DataTable } from '../../parts/DataTable'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { type Filter, mendOf, queryOf } from './types'

interface Values {
  items: { value: string; count: number }[]
}

const EVERY_MS = 5_000
const MOST_REASONS = 20

/** How many letters there are of each reason and source, and what mends them. */
export function Groups({ filter, choose }: { filter: Filter; choose: (reason: string, source: string) => void }) {
  const whole = { ...filter, reason: '', source: '' }
  const reasons = useGet<Values>('/dead-letters/values', { field: 'reason', q: queryOf(whole), limit: MOST_REASONS }, { every: EVERY_MS })
  const found = reasons.data?.items ?? []
  const sources = useQueries({
    queries: found.map(({ value: reason, count: letters }) => {
      const query = { field: 'source', q: queryOf({ ...whole, reason }), limit: 20 }
      return {
        // with the count, so that it is asked anew when that has changed
        queryKey: ['/dead-letters/values', query, letters],
        queryFn: ({ signal }: { signal: AbortSignal }) => hub.get<Values>('/dead-letters/values', query, signal),
      }
    }),
  })
  const rows = found.flatMap(({ value: reason, count: all }, n) => {
    const parts = sources[n]?.data?.items
    return parts === undefined || parts.length === 0 ? [{ reason, source: '', letters: all }] : parts.map((part) => ({ reason, source: part.value, letters: part.count }))
  })
  if (reasons.data !== undefined && rows.length === 0) return null
  const isChosen = (row: (typeof rows)[number]) => row.reason === filter.reason && row.source === filter.source
  return (
    <Panel
      title="By reason and source"
      aside={
        (filter.reason !== '' || filter.source !== '') && (
          <Button variant="default" onClick={() => { choose('', '') }}>
            Show all
          </Button>
        )
      }
    >
      <DataTable
        label="Dead letters by reason and source"
        rows={rows}
        isPending={reasons.isPending}
        error={reasons.error}
        retry={() => void reasons.refetch()}
        id={({ reason, source }) => `${reason} ${source}`}
        empty=""
        columns={[
          {
            title: 'Reason',
            cell: (row) => (
              <Button variant={isChosen(row) ? 'light' : 'default'} size="compact-sm" aria-pressed={isChosen(row)} onClick={() => { choose(row.reason, row.source) }}>
                {row.reason}
              </Button>
            ),
          },
          { title: 'Source', cell: ({ source }) => source || '–' },
          { title: 'Letters', right: true, cell: ({ letters }) => count(letters) },
          { title: 'What mends it', cell: ({ reason }) => <Text size="sm" c="dimmed" style={{ minWidth: 200 }}>{mendOf(reason)}</Text> },
        ]}
      />
    </Panel>
  )
}
