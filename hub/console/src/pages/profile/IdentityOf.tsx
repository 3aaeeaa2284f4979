import '../../parts/parts.css'

import { Anchor, Group, Stack, Text } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useState } from 'react'
import { Link } from 'wouter'

import { hub, path } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { DataTable } from '../../parts/DataTable'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Id } from '../../parts/Id'
import { Loading } from '../../parts/Loading'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { Graph } from './Graph'
import { MergeWith } from './MergeWith'
import type { Identity, Merge } from './types'

/** Who somebody is: all ids, what identified them, and which profiles became one, which can be asked for and undone. */
export function IdentityOf({ id }: { id: string }) {
  const [asked, setAsked] = useState<{ other: string; merges: number; isDone: boolean } | null>(null)
  const found = useGet<Identity>(path`/profiles/${id}/identity`, {}, { every: asked?.isDone === false ? 500 : 5_000 })
  const undo = useChange((merge: Merge) => hub.post(path`/merges/${merge.id}/undo`), ['/profiles', '/events', '/sessions'])
  if (found.data === undefined) return found.isPending ? <Loading /> : <ErrorNotice error={found.error} retry={() => void found.refetch()} />
  const { data } = found
  // its id answers with the survivor before the data is there; the journal comes with the data
  if (asked?.isDone === false && data.ids.includes(asked.other) && data.merges.length > asked.merges) setAsked({ ...asked, isDone: true })
  return (
    <Stack gap="md">
      <ErrorNotice error={found.error} />
      <Graph identity={data} />
      <DataTable
        label="Identifiers"
        rows={data.identifiers}
        id={(one) => one.identifier}
        empty={<Text size="sm" c="dimmed">Nothing has identified them yet. Which property of an event does so is an identification point, see Definitions.</Text>}
        columns={[
          { title: 'Identifier', cell: (one) => one.label },
          { title: 'Hash', cell: (one) => <Id id={one.identifier} of="hash of the identifier" most={10} /> },
          { title: 'Since', cell: (one) => <TimeAgo at={one.at} /> },
          {
            title: 'By',
            cell: (one) => (
              <Anchor component={Link} href={path`/events/${one.event_id}`} inherit>
                event
              </Anchor>
            ),
          },
          {
            title: 'Profiles',
            right: true,
            cell: (one) => (one.shared ? <StateBadge state={`${one.profiles}, too many`} tone="warn" hint="It joins nobody any more." /> : one.profiles),
          },
        ]}
      />
      <DataTable
        label="Merges"
        rows={data.merges}
        id={(merge) => merge.id}
        empty={<Text size="sm" c="dimmed">No other profile has become part of this one.</Text>}
        columns={[
          { title: 'Merged', cell: (merge) => <Id id={merge.loser_id} of="id of the merged profile" most={32} /> },
          { title: 'Into', cell: (merge) => <Id id={merge.survivor_id} of="id of the survivor" most={32} /> },
          { title: 'When', cell: (merge) => <TimeAgo at={merge.at} /> },
          { title: 'Because', cell: (merge) => <Because merge={merge} /> },
          {
            title: 'Undo',
            cell: (merge) =>
              merge.undone_at !== null ? (
                <Text size="sm" c="dimmed">
                  undone <TimeAgo at={merge.undone_at} />
                </Text>
              ) : (
                <ConfirmButton
                  needs="operate"
                  variant="default"
                  size="compact-sm"
                  aria-label={`Undo the merge of ${merge.loser_id}`}
                  question="Undo this merge?"
                  consequence={
                    <>
                      {merge.loser_id} becomes a profile of its own again, made of its own events. What came since lies with {merge.survivor_id},
                      and both are kept apart from then on.
                    </>
                  }
                  confirm="Undo the merge"
                  onConfirm={async () => {
                    await undo.mutateAsync(merge)
                    setAsked(null)
                    notifications.show({ message: 'It is asked for, and done in a moment.' })
                  }}
                >
                  Undo
                </ConfirmButton>
              ),
          },
        ]}
      />
      <Group gap="sm">
        <MergeWith id={data.id} onAsked={(other) => { setAsked({ other, merges: data.merges.length, isDone: false }) }} />
        <Text size="sm" role="status" style={{ overflowWrap: 'anywhere', minWidth: 0 }}>
          {asked !== null && (asked.isDone ? 'Both are one profile now.' : `Merging with ${asked.other}…`)}
        </Text>
      </Group>
      {data.apart.length > 0 && (
        <Text size="sm">
          Not merged by an identifier with: {data.apart.join(', ')}
        </Text>
      )}
    </Stack>
  )
}

function Because({ merge }: { merge: Merge }) {
  const { kind, label, event_id: event } = merge.because
  return (
    <Text size="sm">
      {kind === 'identifier' ? `the same ${label ?? 'identifier'}` : kind === 'request' ? 'it was asked for' : (kind ?? 'unknown')}
      {event !== undefined && (
        <>
          {', '}
          <Anchor component={Link} href={path`/events/${event}`} inherit>
            event
          </Anchor>
        </>
      )}
    </Text>
  )
}
