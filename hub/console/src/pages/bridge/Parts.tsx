import { Code } from '@mantine/core'

import { DataTable } from '../../parts/DataTable'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import type { Line } from './types'

/** Each partition, queue or stream. */
export function Parts({ line }: { line: Line }) {
  return (
    <Panel title="Partitions and queues">
      <DataTable
        label="Partitions and queues"
        rows={line.parts}
        id={({ name }) => name}
        empty="None is read now."
        columns={[
          { title: 'Name', cell: ({ name }) => name },
          { title: 'Waiting, messages', right: true, cell: ({ lag }) => (lag === null ? 'not told' : count(lag)) },
          { title: 'Newest taken', cell: ({ position }) => (position === '' ? 'none yet' : <Code>{position}</Code>) },
        ]}
      />
    </Panel>
  )
}
