import { Button, Group, Stack, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'

import { hub, path } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import { count } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { FlowSummary } from '../flow/types'

/** All flows, those that are drafts among them; the place to begin a new one. */
export default function Flows() {
  const [asked, setAsked] = useSearchParams()
  const flows = useGet<{ items: FlowSummary[] }>('/flows', {}, { every: 5_000 })
  const isNew = asked.has('new')
  const begin = () => { setAsked({ new: '1' }) }
  return (
    <>
      <PageHeader title="Flows" about="What is done because of an event, a segment, a time.">
        <ActionButton needs="admin" onClick={begin} refusal={isNew ? 'You are making one already.' : null}>
          New flow
        </ActionButton>
      </PageHeader>
      <Stack gap="md">
        {isNew && <NewFlow onCancel={() => { setAsked({}) }} />}
        {flows.data?.items.length === 0 && flows.error === null ? (
          !isNew && (
            <EmptyState title="There is no flow yet" action={{ label: 'Make the first flow', onClick: begin }}>
              A flow asks, waits, changes the profile, raises events, calls other systems and sends messages, whenever something lets it run.
            </EmptyState>
          )
        ) : (
          <Panel title="All flows">
            <DataTable
              label="Flows"
              rows={flows.data?.items ?? []}
              isPending={flows.isPending}
              error={flows.error}
              retry={() => void flows.refetch()}
              id={(flow) => flow.id}
              to={(flow) => path`/flows/${flow.id}`}
              empty=""
              columns={[
                { title: 'Flow', cell: (flow) => flow.name || flow.id },
                {
                  title: 'State',
                  cell: (flow) => (
                    <StateBadge
                      state={flow.draft_differs && flow.version !== null ? `${flow.state}, draft differs` : flow.state}
                      tone={flow.state === 'enabled' ? 'good' : 'idle'}
                    />
                  ),
                },
                { title: 'Runs because of', cell: (flow) => flow.triggers.map(({ type, event_type, segment }) => [type, event_type ?? segment].filter(Boolean).join(' ')).join(', ') || 'nothing yet' },
                { title: 'Nodes', right: true, cell: (flow) => count(flow.nodes) },
                { title: 'Deployed', cell: (flow) => <TimeAgo at={flow.updated_at} /> },
              ]}
            />
          </Panel>
        )}
      </Stack>
    </>
  )
}

function NewFlow({ onCancel }: { onCancel: () => void }) {
  const [, go] = useLocation()
  const [id, setId] = useState('')
  const make = useChange(
    () =>
      hub.put(
        path`/definitions/flow-draft/${id.trim()}`,
        { name: id.trim(), triggers: [], nodes: { start: { type: 'start' } } },
        { headers: { 'If-None-Match': '*' } },
      ),
    ['/flows', '/definitions/flow'],
  )
  const begin = () => {
    if (id.trim() !== '') make.mutate(undefined, { onSuccess: () => { go(path`/flows/${id.trim()}`) } })
  }
  return (
    <Panel title="New flow">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          begin()
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="Id"
            description="It stays, such as welcome-mail"
            styles={mono}
            maw={360}
            autoFocus
            value={id}
            onChange={(event) => { setId(event.currentTarget.value) }}
          />
          <ErrorNotice error={make.error} />
          <Group>
            <ActionButton needs="admin" loading={make.isPending} onClick={begin} refusal={id.trim() === '' ? 'Give it an id first.' : null}>
              Begin a draft
            </ActionButton>
            <Button variant="default" onClick={onCancel}>
              Cancel
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  )
}
