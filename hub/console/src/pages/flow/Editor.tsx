import { Group, Stack, Text } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Panel } from '../../parts/Panel'
import { AddNode } from './AddNode'
import { withEdge, withNew } from './edit'
import { Graph } from './Graph'
import { NodeForm } from './NodeForm'
import { Problems } from './Problems'
import { TestRun } from './TestRun'
import { Triggers } from './Triggers'
import type { FlowProblem, FlowSpec, Lit, NodeType } from './types'

const CHECK_AFTER_MS = 400

interface Props {
  id: string
  saved: FlowSpec
  /** Of the draft, if there is one. */
  version: number | null
  types: NodeType[]
}

/** The draft of a flow: changed here, checked as it changes, tried, saved, and put into force. */
export function Editor({ id, saved, version, types }: Props) {
  const [flow, setFlow] = useState(saved)
  const [selected, select] = useState<string | null>(null)
  const [lit, setLit] = useState<Lit | null>(null)
  const byName = useMemo(() => Object.fromEntries(types.map((type) => [type.type, type])), [types])
  const [asked] = useDebouncedValue(flow, CHECK_AFTER_MS)
  const checked = useQuery<{ problems: FlowProblem[]; warnings: FlowProblem[] }>({
    queryKey: ['/flows/check', asked],
    queryFn: ({ signal }) => hub.post('/flows/check', asked, { signal }),
    placeholderData: (before) => before,
    retry: false,
  })
  const problems = checked.data?.problems ?? []
  const wrong = useMemo(() => new Set((checked.data?.problems ?? []).flatMap(({ node }) => (node === null ? [] : [node]))), [checked.data])
  const save = useChange(
    () =>
      hub.put(path`/definitions/flow-draft/${id}`, flow, {
        headers: version === null ? { 'If-None-Match': '*' } : { 'If-Match': `"${version}"` },
      }),
    ['/flows', '/definitions/flow'],
  )
  const deploy = useChange(() => hub.post(path`/flows/${id}/deploy`), ['/flows', '/definitions/flow'])
  const isChanged = flow !== saved
  const change = (next: FlowSpec) => {
    setLit(null)
    setFlow(next)
  }
  const type = selected === null ? undefined : byName[flow.nodes[selected]?.type ?? '']
  const port = type?.ports[0] ?? 'out'
  return (
    <Stack gap="md">
      <Panel
        title="Graph"
        aside={
          <Group gap="xs">
            {isChanged && <Text c="var(--hub-warn)">not saved</Text>}
            <ActionButton needs="admin" variant="default" loading={save.isPending} refusal={isChanged ? null : 'Nothing has been changed.'} onClick={() => { save.mutate() }}>
              Save draft
            </ActionButton>
            <ActionButton
              needs="admin"
              loading={deploy.isPending}
              refusal={deployRefusal(isChanged, version, problems.length)}
              onClick={() => { deploy.mutate() }}
            >
              Deploy
            </ActionButton>
          </Group>
        }
      >
        <Stack gap="sm">
          <ErrorNotice error={save.error ?? deploy.error ?? checked.error} />
          <Graph
            flow={flow}
            types={byName}
            wrong={wrong}
            lit={lit}
            selected={selected}
            onSelect={select}
            onConnect={(from, out, to) => { change(withEdge(flow, from, out, to)) }}
          />
          <AddNode
            types={types}
            after={selected === null ? null : `${selected}, at ${port}`}
            onAdd={(wanted) => {
              const [next, made] = withNew(flow, wanted, selected === null ? null : { node: selected, port })
              change(next)
              select(made)
            }}
          />
          <Problems problems={problems} warnings={checked.data?.warnings ?? []} />
        </Stack>
      </Panel>
      {selected !== null && (
        <NodeForm
          flow={flow}
          id={selected}
          type={type}
          problems={problems.filter(({ node }) => node === selected)}
          onChange={change}
          onClose={() => { select(null) }}
        />
      )}
      <Triggers flow={flow} onChange={change} />
      <TestRun id={id} flow={flow} onLit={setLit} />
    </Stack>
  )
}

function deployRefusal(isChanged: boolean, version: number | null, problems: number): string | null {
  if (isChanged) return 'Save the draft first.'
  if (version === null) return 'It is in force as it is.'
  return problems > 0 ? 'Something is wrong with it, see below.' : null
}
