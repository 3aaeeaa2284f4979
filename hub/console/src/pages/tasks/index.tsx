import { Code, Stack } from '@mantine/core'
import { useSearchParams } from 'wouter'

import { url } from '../../api/client'
import { useList } from '../../api/hooks'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { StateSelect } from '../../parts/StateSelect'
import { TimeAgo } from '../../parts/Time'
import { One } from './One'
import { TaskProgress } from './TaskProgress'
import type { Task } from './types'

const STATES = ['waiting', 'running', 'done', 'failed', 'cancelled']

/** Long jobs, newest first; `?state=` has those in one state, `?id=` one open. */
export default function Tasks() {
  const [asked, setAsked] = useSearchParams()
  const state = asked.get('state') ?? ''
  const id = asked.get('id')
  const tasks = useList<Task>('/tasks', { state, size: 20 }, { every: 3_000 })
  const isEmpty = tasks.items.length === 0 && !tasks.isPending && tasks.error === null && state === ''
  return (
    <>
      <PageHeader title="Tasks" about="Long jobs that workers do beside the events: imports, copies, runs of flows for many, migration." />
      <Stack gap="md">
        {id !== null && <One key={id} id={id} />}
        {isEmpty ? (
          <EmptyState title="There is no task">
            An import is one: <Code>hub import rows.csv --source shop --mapping rows.yaml</Code>. So is a copy of stored events into profiles:{' '}
            <Code>hub copy events-to-profiles --dry-run</Code>.
          </EmptyState>
        ) : (
          <Panel
            title="All tasks"
            aside={
              <StateSelect label="State" states={STATES} value={state} onChange={(one) => { setAsked(one === '' ? {} : { state: one }) }} />
            }
          >
            <DataTable
              label="Tasks"
              {...tasks}
              rows={tasks.items}
              id={(task) => task.id}
              to={(task) => url('/tasks', { state, id: task.id })}
              retry={tasks.refetch}
              empty={`No task is ${state}.`}
              columns={[
                { title: 'Kind', cell: (task) => task.kind },
                {
                  title: 'State',
                  cell: (task) => <StateBadge state={task.state} {...(task.error || task.hint ? { hint: task.error || task.hint } : {})} />,
                },
                { title: 'Progress', cell: (task) => <TaskProgress task={task} /> },
                { title: 'Asked for', cell: (task) => <TimeAgo at={task.asked_at} /> },
                { title: 'By', cell: (task) => task.by || '–' },
                { title: 'Id', cell: (task) => <Code>{task.id}</Code> },
              ]}
            />
          </Panel>
        )}
      </Stack>
    </>
  )
}
