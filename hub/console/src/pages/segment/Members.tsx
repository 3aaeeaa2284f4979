import { Anchor, Group, TextInput } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'wouter'

import { hub, path } from '../../api/client'
import { useChange, useList } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import { Panel } from '../../parts/Panel'
import { TimeAgo } from '../../parts/Time'
import { Person } from './Person'
import type { Member, SegmentState } from './types'

/** Who is in it, since when and by what. Those of a list can be changed here. */
export function Members({ segment }: { segment: SegmentState }) {
  const list = useList<Member>(path`/segments/${segment.id}/profiles`, { size: 20 }, { every: 5_000 })
  const isList = segment.condition === null && segment.enabled
  return (
    <Panel title="Who is in it">
      {isList && <AddToList segment={segment.id} />}
      <DataTable
        label="Profiles in the segment"
        {...list}
        rows={list.items}
        id={(profile) => profile.id}
        empty="Nobody is in it now."
        columns={[
          { title: 'Profile', cell: (profile) => <Person profile={profile} /> },
          { title: 'Since', cell: (profile) => <TimeAgo at={profile.metadata?.segments?.[segment.id]?.since} /> },
          { title: 'By', cell: (profile) => <By profile={profile} segment={segment.id} /> },
          ...(isList
            ? [{ title: 'Change', cell: (profile: Member) => <Remove profile={profile.id} segment={segment.id} /> }]
            : []),
        ]}
      />
    </Panel>
  )
}

function By({ profile, segment }: { profile: Member; segment: string }) {
  const membership = profile.metadata?.segments?.[segment]
  if (membership === undefined) return <>–</>
  if (membership.event === null) return <>{membership.by}</>
  return (
    <>
      {membership.by}, with{' '}
      <Anchor component={Link} href={path`/events/${membership.event}`} inherit>
        an event
      </Anchor>
    </>
  )
}

function AddToList({ segment }: { segment: string }) {
  const [profile, setProfile] = useState('')
  const add = useChange(
    (id: string) => hub.post<{ accepted: number; unknown: string[] }>(path`/segments/${segment}/profiles`, { add: [id] }),
    ['/segments'],
  )
  const go = () => {
    if (profile.trim() !== '') add.mutate(profile.trim())
  }
  const unknown = add.data?.unknown ?? []
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        go()
      }}
    >
      <Group gap="xs" align="flex-start" mb="sm">
        <TextInput
          aria-label="Profile id to add"
          placeholder="Profile id"
          styles={mono}
          value={profile}
          onChange={(event) => { setProfile(event.currentTarget.value) }}
          error={unknown.length > 0 ? `There is no profile ${unknown.join(', ')}` : null}
          style={{ flex: 1, minWidth: 160, maxWidth: 420 }}
        />
        <ActionButton needs="operate" size="sm" variant="default" loading={add.isPending} onClick={go}>
          Put on the list
        </ActionButton>
      </Group>
      <ErrorNotice error={add.error} />
    </form>
  )
}

function Remove({ profile, segment }: { profile: string; segment: string }) {
  const remove = useChange(() => hub.post(path`/segments/${segment}/profiles`, { remove: [profile] }), ['/segments'])
  if (remove.isSuccess) return <>taken off</>
  return (
    <ActionButton
      needs="operate"
      variant="subtle"
      size="compact-xs"
      loading={remove.isPending}
      onClick={() => { remove.mutate() }}
      aria-label={`Take ${profile} off the list`}
    >
      Take off
    </ActionButton>
  )
}
