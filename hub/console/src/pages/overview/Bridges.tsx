import { Anchor, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { useGet } from '../../api/hooks'
import type { Bridge } from '../../api/types'
import { DataTable } from '../../parts/DataTable'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'

/** Every bridge and how it is doing. */
export function Bridges({ every }: { every: number }) {
  const bridges = useGet<{ items: Bridge[] }>('/bridges', {}, { every })
  return (
    <Panel title="Bridges">
      <DataTable
        label="Bridges"
        rows={bridges.data?.items ?? []}
        isPending={bridges.isPending}
        error={bridges.error}
        id={(bridge) => bridge.id}
        to={(bridge) => path`/bridges/${bridge.id}`}
        empty={
          <Text c="dimmed">
            No queue is connected.{' '}
            <Anchor component={Link} href="/bridges" inherit>
              Connect one
            </Anchor>
          </Text>
        }
        columns={[
          { title: 'Bridge', cell: (bridge) => bridge.name || bridge.id },
          { title: 'Type', cell: (bridge) => bridge.type },
          { title: 'State', cell: (bridge) => <StateBadge state={bridge.state} hint={bridge.last_error ?? bridge.hint} /> },
          { title: 'Forwarded', right: true, cell: (bridge) => count(bridge.forwarded) },
          { title: 'Lag', right: true, cell: (bridge) => (bridge.lag === null ? '–' : count(bridge.lag)) },
        ]}
      />
    </Panel>
  )
}
