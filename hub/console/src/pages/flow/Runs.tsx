import { Anchor, Code, Group, Stack, Text } from '@mantine/core'
import { Link, useSearchParams } from 'wouter'

import { hub, path, url } from '../../api/client'
import { useChange, useGet, useList } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { StateSelect } from '../../parts/StateSelect'
import { TimeAgo } from '../../parts/Time'
import { Steps } from './Steps'
import type { FlowRun, Leg } from './types'

const STATES = ['done', 'failed', 'stopped', 'paused', 'waiting', 'cancelled']

/** Runs of the flow, newest first, paused ones with when they go on; `?run=` has one open. */
export function Runs({ id }: { id: string }) {
  const [asked, setAsked] = useSearchParams()
  const state = asked.get('state') ?? ''
  const open = asked.get('run')
  const runs = useList<FlowRun>(path`/flows/${id}/runs`, { state, size: 20 }, { every: 3_000 })
  return (
    <Panel
      title="Runs"
      aside={
        <StateSelect label="State of runs" states={STATES} value={state} onChange={(one) => { setAsked(one === '' ? {} : { state: one }) }} />
      }
    >
      <Stack gap="md">
        <DataTable
          label="Runs"
          {...runs}
          rows={runs.items}
          id={(run) => run.id}
          to={(run) => url(path`/flows/${id}`, { state, run: run.id })}
          empty={state === '' ? 'It has not run yet: it does when something triggers it, once it is deployed.' : `No run is ${state}.`}
          columns={[
            { title: 'Began', cell: (run) => <TimeAgo at={run.began_at} /> },
            { title: 'State', cell: (run) => <StateBadge state={run.state} {...(run.error ? { hint: run.error } : {})} /> },
            { title: 'Because of', cell: (run) => run.trigger.kind },
            { title: 'Profile', cell: (run) => <Of run={run} /> },
            { title: 'Goes on', cell: (run) => (run.due_at === null ? '–' : <TimeAgo at={run.due_at} />) },
            { title: 'Version', right: true, cell: (run) => run.version },
          ]}
        />
        {open !== null && <One key={open} id={open} />}
      </Stack>
    </Panel>
  )
}

function Of({ run: { profile } }: { run: FlowRun }) {
  if (profile === null) return <>nobody</>
  return (
    <Anchor component={Link} href={path`/profiles/${profile}`} inherit ff="monospace">
      {profile}
    </Anchor>
  )
}

function One({ id }: { id: string }) {
  const run = useGet<FlowRun & { legs: Leg[] }>(path`/runs/${id}`, {}, { every: 3_000 })
  const cancel = useChange(() => hub.post(path`/runs/${id}/cancel`), ['/flows', '/runs'])
  if (run.error !== null) return <ErrorNotice error={run.error} />
  if (run.data === undefined) return null
  const { state, error, pauses, event, legs } = run.data
  return (
    <Stack gap="sm" className="hub-panel">
      <Group justify="space-between">
        <Group gap="sm">
          <Text>
            Run <Code>{id}</Code>
          </Text>
          <StateBadge state={state} />
          {event !== null && (
            <Anchor component={Link} href={path`/events/${event}`}>
              the event that triggered it
            </Anchor>
          )}
        </Group>
        {['paused', 'waiting'].includes(state) && (
          <ActionButton needs="operate" variant="default" loading={cancel.isPending} onClick={() => { cancel.mutate() }}>
            End it here
          </ActionButton>
        )}
      </Group>
      <ErrorNotice error={cancel.error} />
      {error !== '' && <Text c="var(--hub-bad)">{error}</Text>}
      {pauses.map((pause) => (
        <Text key={pause.node}>
          Waits at {pause.node}; goes on <TimeAgo at={pause.until} />
          {pause.event_type !== '' && `, or with an event ${pause.event_type}`}.
        </Text>
      ))}
      <Steps legs={legs} />
    </Stack>
  )
}
