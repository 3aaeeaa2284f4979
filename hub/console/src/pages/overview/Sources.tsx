import { Text } from '@mantine/core'

import type { Balance } from '../../api/types'
import { DataTable } from '../../parts/DataTable'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'

type Source = Balance['sources'][number]

/** The balance sheet's totals by source. */
export function Sources({ sources }: { sources: Source[] }) {
  return (
    <Panel title="Balance by source" aside={<Text size="sm" c="dimmed">events since the beginning</Text>}>
      <DataTable
        label="Balance by source"
        rows={sources}
        id={(row) => row.source}
        empty="No source has sent anything yet."
        columns={[
          { title: 'Source', cell: (row) => row.source },
          { title: 'Received', right: true, cell: (row) => count(row.received) },
          { title: 'Stored', right: true, cell: (row) => count(row.stored) },
          { title: 'Duplicate', right: true, cell: (row) => count(row.duplicate) },
          { title: 'Dropped by rule', right: true, cell: (row) => count(row.dropped) },
          { title: 'Dead letters', right: true, cell: (row) => count(row.dead) },
          { title: 'Difference', right: true, cell: (row) => <Difference row={row} /> },
        ]}
      />
    </Panel>
  )
}

function Difference({ row }: { row: Source }) {
  const off = row.received - row.stored - row.duplicate - row.dropped - row.dead
  return off === 0 ? (
    <Text c="dimmed">0</Text>
  ) : (
    <Text c="var(--hub-bad)" fw={600}>
      {off > 0 ? `${count(off)} missing` : `${count(-off)} too many`}
    </Text>
  )
}
