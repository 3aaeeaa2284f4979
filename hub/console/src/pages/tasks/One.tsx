import { Group, Stack, Text } from '@mantine/core'
import { useSearchParams } from 'wouter'

import { hub, path } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { DataTable } from '../../parts/DataTable'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Json } from '../../parts/Json'
import { Loading } from '../../parts/Loading'
import { count, duration } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { Time } from '../../parts/Time'
import { TaskProgress } from './TaskProgress'
import { OVER, type TaskState } from './types'

/** One task: how far it is, what came of it, why it does not move. */
export function One({ id }: { id: string }) {
  const [, setAsked] = useSearchParams()
  const found = useGet<TaskState>(path`/tasks/${id}`, {}, { every: 2_000 })
  const task = found.data
  const again = useChange(
    () => hub.post<TaskState>('/tasks', { kind: task?.kind, arguments: task?.arguments, by: 'console' }),
    ['/tasks'],
  )
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (task === undefined) return <Loading />
  const isOver = OVER.includes(task.state)
  return (
    <Panel
      title={`Task ${task.id}`}
      aside={
        isOver ? (
          <ActionButton
            needs="admin"
            variant="default"
            loading={again.isPending}
            onClick={() => { again.mutate(undefined, { onSuccess: (made) => { setAsked({ id: made.id }) } }) }}
          >
            Do it again
          </ActionButton>
        ) : (
          <ConfirmButton
            needs="operate"
            variant="default"
            question="Cancel this task?"
            consequence="It ends after the page that is being done. What is done stays done."
            confirm="Cancel task"
            onConfirm={async () => {
              await hub.post(path`/tasks/${id}/cancel`)
              await found.refetch()
            }}
          >
            Cancel
          </ConfirmButton>
        )
      }
    >
      <Stack gap="sm">
        <ErrorNotice error={again.error} />
        <Group gap="md">
          <StateBadge state={task.state} />
          <Text>{task.kind}</Text>
          <TaskProgress task={task} />
        </Group>
        {task.hint !== '' && <Text c="var(--hub-warn)">{task.hint}</Text>}
        {task.error !== '' && <Text c="var(--hub-bad)" style={{ overflowWrap: 'anywhere' }}>{task.error}</Text>}
        <Text c="dimmed">
          Asked for {task.by === '' ? '' : `by ${task.by} `}at <Time at={task.asked_at} />
          {task.started_at !== null && task.ended_at !== null && `, took ${duration((Date.parse(task.ended_at) - Date.parse(task.started_at)) / 1_000)}`}
        </Text>
        {Object.keys(task.counts).length > 0 && (
          <Group gap="lg" role="group" aria-label="What came of it">
            {Object.entries(task.counts).map(([name, value]) => (
              <Stack key={name} gap={0}>
                <Text size="sm" c="dimmed">
                  {name.replaceAll('_', ' ')}
                </Text>
                <Text fw={600} className="hub-number">
                  {count(value)}
                </Text>
              </Stack>
            ))}
          </Group>
        )}
        <Json label="Arguments" value={task.arguments} most={200} />
        {task.sample.length > 0 && <Json label="Sample" value={task.sample} most={320} />}
        <DataTable
          label="Slices"
          rows={task.slices}
          id={(slice) => String(slice.number)}
          empty="It is not cut into slices yet."
          columns={[
            { title: 'Slice', cell: (slice) => slice.what || slice.number },
            { title: 'State', cell: (slice) => <StateBadge state={slice.state} tone={slice.state === 'open' ? 'note' : slice.state === 'done' ? 'good' : 'bad'} /> },
            { title: 'Done', right: true, cell: (slice) => count(slice.done) },
            { title: 'Of', right: true, cell: (slice) => count(slice.total) },
            { title: 'Begun', right: true, cell: (slice) => `${count(slice.begun)} ×` },
            { title: 'Error', cell: (slice) => slice.error || '–' },
          ]}
        />
      </Stack>
    </Panel>
  )
}
