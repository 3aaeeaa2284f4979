import { Code, Group, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useLocation } from 'wouter'

import { hub, path } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { CopyButton } from '../../parts/CopyButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { several } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { useIdInPath } from '../../parts/useIdInPath'
import { Editor } from './Editor'
import { Filling } from './Filling'
import { Members } from './Members'
import { Sizes } from './Sizes'
import type { SegmentSpec, SegmentState } from './types'
import { Why } from './Why'

const EVERY_MS = 2_000

/** One segment: its condition, its size, who is in it and why. */
export default function Segment() {
  const id = useIdInPath()
  const [, go] = useLocation()
  const segment = useGet<SegmentState>(path`/segments/${id}`, {}, { every: EVERY_MS })
  const [editing, edit] = useDisclosure()
  const above = [{ label: 'Segments', to: '/segments' }]
  if (segment.data === undefined || segment.error !== null) {
    return (
      <>
        <PageHeader title={id} above={above} />
        {segment.error === null ? <Loading /> : <ErrorNotice error={segment.error} retry={() => void segment.refetch()} />}
      </>
    )
  }
  const { name, description, enabled, size, condition, flows, updated_at } = segment.data
  return (
    <>
      <PageHeader
        title={name || id}
        about={description || undefined}
        above={above}
        badge={
          <>
            <StateBadge state={enabled ? 'running' : 'switched off'} tone={enabled ? 'good' : 'idle'} />
            <Text fw={600} className="hub-number">
              {several(size, 'profile')}
            </Text>
          </>
        }
      >
        <ActionButton needs="admin" variant="default" onClick={edit.toggle}>
          Edit
        </ActionButton>
        <ConfirmButton
          needs="admin"
          variant="default"
          question={`Delete the segment ${name || id}?`}
          consequence="Everybody leaves it, with an event each, when something comes for them next. Its earlier versions stay in the history of definitions."
          confirm="Delete segment"
          onConfirm={async () => {
            await hub.delete(path`/definitions/segment/${id}`)
            go('/segments')
          }}
        >
          Delete
        </ConfirmButton>
      </PageHeader>
      <Stack gap="md">
        {editing ? (
          <Panel title="Edit">
            <Definition id={id} onDone={edit.close} />
          </Panel>
        ) : (
          <Panel title="Who is meant">
            <Stack gap="xs">
              {condition === null ? (
                <Text>
                  {flows.length > 0 ? `Lists, and the flows ${flows.join(', ')}, say who is in it.` : 'A list says who is in it.'}
                </Text>
              ) : (
                <Code block style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
                  {condition}
                </Code>
              )}
              <Group gap={4}>
                <Text size="sm" c="dimmed">
                  Id <Code>{id}</Code>
                </Text>
                <CopyButton value={id} label="Copy the id" />
                <Text size="sm" c="dimmed">
                  as it is since <TimeAgo at={updated_at} />
                </Text>
              </Group>
            </Stack>
          </Panel>
        )}
        <Filling segment={segment.data} />
        <Sizes segment={id} size={size} />
        <Why segment={id} />
        <Members segment={segment.data} />
      </Stack>
    </>
  )
}

function Definition({ id, onDone }: { id: string; onDone: () => void }) {
  const found = useGet<{ version: number; spec: SegmentSpec }>(path`/definitions/segment/${id}`)
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (found.data === undefined) return <Loading />
  return <Editor existing={{ id, version: found.data.version, spec: found.data.spec }} onSaved={onDone} onCancel={onDone} />
}
