import { Code, Stack, Text, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useState } from 'react'

import { hub, path, Problem } from '../../api/client'
import { useChange, useList } from '../../api/hooks'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { several } from '../../parts/numbers'
import { literal } from '../../parts/search/language'
import { nameOf, type ProfileDocument } from '../profiles/types'

const LOOK_AFTER_MS = 250

interface Props {
  id: string
  /** Called with the other id when the hub has taken it; it is done some milliseconds later. */
  onAsked: (other: string) => void
}

/** Two profiles become one because somebody says so. */
export function MergeWith({ id, onAsked }: Props) {
  const [typed, setTyped] = useState('')
  const other = typed.trim()
  const [asked] = useDebouncedValue(other, LOOK_AFTER_MS)
  const found = useList<ProfileDocument>('/profiles', { q: `id = ${literal(asked)}`, size: 1 }, { enabled: asked !== '' })
  const merge = useChange(() => hub.post(path`/profiles/${id}/merge`, { profile: other }), ['/profiles', '/events', '/sessions'])
  return (
    <ConfirmButton
      needs="operate"
      variant="default"
      question="Merge with another profile?"
      consequence={
        <Stack gap="sm">
          <Text>
            Both are one person from then on, with the events, visits, fields and identifiers of both. The smaller of the two ids stays, and the
            other one leads to it. It can be undone.
          </Text>
          <TextInput
            label="Id of the other profile"
            description="Its page, and the list of profiles, have it."
            autoComplete="off"
            spellCheck={false}
            value={typed}
            onChange={(event) => { setTyped(event.currentTarget.value) }}
          />
          <div role="status">{asked !== '' && asked === other && !found.isPending && <Told id={id} other={found.items[0]} />}</div>
        </Stack>
      }
      confirm="Merge them"
      onConfirm={async () => {
        if (other === '') throw new Problem(0, 'Say which profile the other one is.', '')
        await merge.mutateAsync()
        onAsked(other)
        setTyped('')
      }}
    >
      Merge with another profile
    </ConfirmButton>
  )
}

/** Who the other one is, and which of both stays. */
function Told({ id, other }: { id: string; other: ProfileDocument | undefined }) {
  if (other === undefined) return <Text c="dimmed">There is no profile with this id.</Text>
  if (other.id === id) return <Text c="dimmed">This id is of this profile already.</Text>
  const [stays, goes] = id < other.id ? [id, other.id] : [other.id, id]
  const name = nameOf(other)
  return (
    <Text style={{ overflowWrap: 'anywhere' }}>
      {name !== '' && `${name}, `}
      {several(other.stats.events, 'event')}. <Code>{stays}</Code> stays, <Code>{goes}</Code> becomes part of it.
    </Text>
  )
}
