import { Code, Stack, Text } from '@mantine/core'
import { useLocation, useSearchParams } from 'wouter'

import { path } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { count, several } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { Editor } from '../segment/Editor'
import type { SegmentSummary } from '../segment/types'

const EVERY_MS = 5_000

interface Listed {
  items: SegmentSummary[]
  check: { at: string; state: string; looked: number; differed: number; error: string } | null
}

/** All segments and how many are in each; the place to make a new one. */
export default function Segments() {
  const [asked, setAsked] = useSearchParams()
  const [, go] = useLocation()
  const segments = useGet<Listed>('/segments', {}, { every: EVERY_MS })
  const isNew = asked.has('new')
  const begin = () => {
    setAsked({ new: '1' })
  }
  return (
    <>
      <PageHeader title="Segments" about="Groups of customers that keep themselves up to date, with the event that makes the difference.">
        <ActionButton needs="admin" onClick={begin} refusal={isNew ? 'You are making one already.' : null}>
          New segment
        </ActionButton>
      </PageHeader>
      <Stack gap="md">
        {isNew && (
          <Panel title="New segment">
            <Editor
              onSaved={(id) => { go(path`/segments/${id}`) }}
              onCancel={() => { setAsked({}) }}
            />
          </Panel>
        )}
        {segments.data?.items.length === 0 && segments.error === null ? (
          !isNew && (
            <EmptyState title="There is no segment yet" action={{ label: 'Make the first segment', onClick: begin }}>
              Say whom you mean, such as everybody who has spent more than 500, and see how many they are before you save it.
            </EmptyState>
          )
        ) : (
          <Panel title="All segments" aside={<Check check={segments.data?.check ?? null} />}>
            <DataTable
              label="Segments"
              rows={segments.data?.items ?? []}
              isPending={segments.isPending}
              error={segments.error}
              retry={() => void segments.refetch()}
              id={(segment) => segment.id}
              to={(segment) => path`/segments/${segment.id}`}
              empty=""
              columns={[
                { title: 'Segment', cell: (segment) => segment.name || segment.id },
                { title: 'Profiles', right: true, cell: (segment) => count(segment.size) },
                { title: 'Who is meant', cell: (segment) => <Meant segment={segment} /> },
                {
                  title: 'State',
                  cell: ({ enabled }) => <StateBadge state={enabled ? 'running' : 'switched off'} tone={enabled ? 'good' : 'idle'} />,
                },
                { title: 'Changed', cell: (segment) => <TimeAgo at={segment.updated_at} /> },
              ]}
            />
          </Panel>
        )}
      </Stack>
    </>
  )
}

function Meant({ segment: { condition, flows } }: { segment: SegmentSummary }) {
  if (condition === null) return <>{flows.length > 0 ? `a list, and ${several(flows.length, 'flow')}` : 'a list'}</>
  return (
    <Code style={{ display: 'block', maxWidth: 460, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }} title={condition}>
      {condition}
    </Code>
  )
}

/** What the store's own second opinion, once an hour, has found. */
function Check({ check }: { check: Listed['check'] }) {
  if (check === null) return null
  return (
    <Text size="sm" c={check.differed > 0 ? 'var(--hub-warn)' : 'dimmed'}>
      checked <TimeAgo at={check.at} />: {check.differed === 0 ? 'no difference' : `${several(check.differed, 'profile')} put right`}
    </Text>
  )
}
