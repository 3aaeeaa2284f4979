import { Group, Stack, Text } from '@mantine/core'
import { useLocation } from 'wouter'

import { hub, path } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { StateBadge } from '../../parts/StateBadge'
import { useIdInPath } from '../../parts/useIdInPath'
import { Editor } from './Editor'
import { Runs } from './Runs'
import type { FlowSpec, FlowState, NodeType } from './types'

/** One flow: its graph, a test run, its runs. */
export default function Flow() {
  const id = useIdInPath()
  const [, go] = useLocation()
  const flow = useGet<FlowState>(path`/flows/${id}`, {}, { every: 5_000 })
  const types = useGet<{ items: NodeType[] }>('/flows/nodes')
  const above = [{ label: 'Flows', to: '/flows' }]
  if (flow.data === undefined || types.data === undefined) {
    const error = flow.error ?? types.error
    return (
      <>
        <PageHeader title={id} above={above} />
        {error === null ? <Loading /> : <ErrorNotice error={error} retry={() => void flow.refetch()} />}
      </>
    )
  }
  const { name, state, draft, version, draft_differs } = flow.data
  return (
    <>
      <PageHeader
        title={name || id}
        above={above}
        badge={
          <Group gap="sm">
            <StateBadge state={state} tone={state === 'enabled' ? 'good' : 'idle'} />
            {version !== null && draft_differs && <Text c="var(--hub-warn)">the draft differs from what is in force</Text>}
          </Group>
        }
      >
        <ConfirmButton
          needs="admin"
          variant="default"
          question={`Delete the flow ${name || id}?`}
          consequence="Nothing triggers it any more. Runs that are paused go on by the version that they began with."
          confirm="Delete flow"
          onConfirm={async () => {
            if (draft !== null) await hub.delete(path`/definitions/flow-draft/${id}`)
            if (version !== null) await hub.delete(path`/definitions/flow/${id}`)
            go('/flows')
          }}
        >
          Delete
        </ConfirmButton>
      </PageHeader>
      <Stack gap="md">
        <Newest key={`${draft} ${version}`} id={id} kind={draft === null ? 'flow' : 'flow-draft'} types={types.data.items} />
        <Runs id={id} />
      </Stack>
    </>
  )
}

function Newest({ id, kind, types }: { id: string; kind: 'flow' | 'flow-draft'; types: NodeType[] }) {
  const found = useGet<{ version: number; spec: FlowSpec }>(path`/definitions/${kind}/${id}`)
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (found.data === undefined || found.isPlaceholderData) return <Loading />
  return <Editor key={found.data.version} id={id} saved={found.data.spec} version={kind === 'flow' ? null : found.data.version} types={types} />
}
