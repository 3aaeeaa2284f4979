import { Stack, Text } from '@mantine/core'
import { useSearchParams } from 'wouter'

import { url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { Editor } from './Editor'
import { One, schedule } from './One'
import { RunProgress } from './RunProgress'
import type { Heartbeat } from './types'

/** Every heartbeat, when it is due, how its last run went; `?id=` has one open. */
export default function Heartbeats() {
  const [asked, setAsked] = useSearchParams()
  const found = useGet<{ items: Heartbeat[] }>('/heartbeats', {}, { every: 3_000 })
  const id = asked.get('id')
  return (
    <>
      <PageHeader title="Heartbeats" about="Events that are sent for many profiles at a time, whenever they are due.">
        <ActionButton needs="admin" onClick={() => { setAsked({ new: '1' }) }}>
          New heartbeat
        </ActionButton>
      </PageHeader>
      <Stack gap="md">
        {asked.has('new') && (
          <Panel title="New heartbeat">
            <Editor onDone={() => { setAsked({}) }} />
          </Panel>
        )}
        <Panel title="All heartbeats">
          <DataTable
            label="Heartbeats"
            rows={found.data?.items ?? []}
            isPending={found.isPending}
            error={found.error}
            retry={() => void found.refetch()}
            id={(one) => one.id}
            to={(one) => url('/heartbeats', { id: one.id })}
            empty="There is none. Make one to remind customers, tell of birthdays, or check something of everybody once a day."
            columns={[
              { title: 'Heartbeat', cell: (one) => one.name || one.id },
              { title: 'State', cell: (one) => <StateBadge state={one.state} {...(one.hint ? { hint: one.hint } : {})} /> },
              { title: 'When', cell: schedule },
              { title: 'Next', cell: (one) => <TimeAgo at={one.next_at} /> },
              { title: 'Last run', cell: (one) => (one.last_run ? <RunProgress run={one.last_run} /> : <Text c="dimmed">none yet</Text>) },
            ]}
          />
        </Panel>
        {id !== null && <One key={id} id={id} />}
      </Stack>
    </>
  )
}
