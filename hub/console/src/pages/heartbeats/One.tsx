import { Code, Group, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'

import { hub, path } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { Time, TimeAgo } from '../../parts/Time'
import { Editor } from './Editor'
import { RunProgress } from './RunProgress'
import type { Heartbeat, HeartbeatSpec, Run } from './types'

/** One heartbeat: run it now, pause it, and how its runs went. */
export function One({ id }: { id: string }) {
  const found = useGet<Heartbeat & { runs: Run[] }>(path`/heartbeats/${id}`, {}, { every: 2_000 })
  const [editing, edit] = useDisclosure()
  const run = useChange(() => hub.post(path`/heartbeats/${id}/run`), ['/heartbeats'])
  const pause = useChange((what: 'pause' | 'resume') => hub.post(path`/heartbeats/${id}/${what}`), ['/heartbeats'])
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (found.data === undefined) return <Loading />
  const one = found.data
  return (
    <Panel
      title={one.name || one.id}
      aside={
        <Group gap="xs">
          <ActionButton needs="operate" loading={run.isPending} onClick={() => { run.mutate() }}>
            Run now
          </ActionButton>
          <ActionButton
            needs="operate"
            variant="default"
            loading={pause.isPending}
            onClick={() => { pause.mutate(one.enabled ? 'pause' : 'resume') }}
          >
            {one.enabled ? 'Pause' : 'Resume'}
          </ActionButton>
          <ActionButton needs="admin" variant="default" onClick={edit.toggle}>
            Edit
          </ActionButton>
        </Group>
      }
    >
      <Stack gap="sm">
        <ErrorNotice error={run.error ?? pause.error} />
        {one.hint !== '' && <Text c="var(--hub-warn)">{one.hint}</Text>}
        {editing ? (
          <Definition id={id} built_in={one.built_in} onDone={edit.close} />
        ) : (
          <Group gap="md">
            <StateBadge state={one.state} />
            <Text>
              <Code>{one.event_type}</Code> for {one.condition === '' ? 'every profile' : <Code>{one.condition}</Code>}, {schedule(one)}
            </Text>
            <Text c="dimmed">
              next <Time at={one.next_at} />
            </Text>
          </Group>
        )}
        <DataTable
          label="Runs"
          rows={one.runs}
          id={(row) => row.id}
          empty="It has not run yet."
          columns={[
            { title: 'Due', cell: (row) => <Time at={row.due_at} /> },
            { title: 'State', cell: (row) => <RunProgress run={row} /> },
            { title: 'Profiles looked at', right: true, cell: (row) => count(row.profiles_done) },
            { title: 'Began by', cell: (row) => row.by },
            { title: 'Missed before it', right: true, cell: (row) => count(row.missed) },
            { title: 'Ended', cell: (row) => (row.ended_at === null ? '–' : <TimeAgo at={row.ended_at} />) },
          ]}
        />
      </Stack>
    </Panel>
  )
}

export function schedule({ every, cron, time_zone }: Heartbeat): string {
  return every !== null ? `every ${every}` : `at ${cron ?? '?'} (${time_zone})`
}

function Definition({ id, built_in, onDone }: { id: string; built_in: boolean; onDone: () => void }) {
  const found = useGet<{ version: number; spec: HeartbeatSpec }>(path`/definitions/heartbeat/${id}`)
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (found.data === undefined) return <Loading />
  return <Editor existing={{ id, built_in, version: found.data.version, spec: found.data.spec }} onDone={onDone} />
}
