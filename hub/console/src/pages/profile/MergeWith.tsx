import { Code, Radio, Stack, Text } from '@mantine/core'
import { useState } from 'react'

import { hub, path, Problem } from '../../api/client'
import { useChange, useList } from '../../api/hooks'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { several } from '../../parts/numbers'
import { QueryInput } from '../../parts/QueryInput'
import { isBadQuery } from '../../parts/search/QueryError'
import { nameOf, type ProfileDocument } from '../profiles/types'

/** So many are offered; whoever is not among them has to be asked for more exactly. */
const MOST = 6

interface Props {
  id: string
  /** Called with the other id when the hub has taken it; it is done some milliseconds later. */
  onAsked: (other: string) => void
}

/** Two profiles become one because somebody says so. */
export function MergeWith({ id, onAsked }: Props) {
  const [q, setQ] = useState('')
  const [chosen, setChosen] = useState<string | null>(null)
  const found = useList<ProfileDocument>('/profiles', { q, size: MOST }, { enabled: q !== '' })
  const isFound = q !== '' && found.error === null && !found.isPending && !found.isOld
  const others = isFound ? found.items.filter((one) => one.id !== id) : []
  const other = others.length === 1 && !found.hasMore ? others[0] : others.find((one) => one.id === chosen)
  const merge = useChange((asked: string) => hub.post(path`/profiles/${id}/merge`, { profile: asked }), ['/profiles', '/events', '/sessions'])
  const ask = (next: string) => {
    setQ(next)
    setChosen(null)
  }
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
          <QueryInput kind="profiles" value={q} onChange={ask} error={found.error} placeholder="Search the other one, as on Profiles" alone={['id']} />
          {!isBadQuery(found.error) && <ErrorNotice error={found.error} retry={found.refetch} />}
          {others.length > 0 && (
            <Radio.Group label="The other profile" value={other?.id ?? null} onChange={setChosen}>
              <Stack gap="xs" mt={4}>
                {others.map((one) => (
                  <Radio key={one.id} value={one.id} label={nameOf(one) || one.id} description={about(one)} styles={{ body: { overflowWrap: 'anywhere' } }} />
                ))}
              </Stack>
            </Radio.Group>
          )}
          <div role="status">
            {q !== '' && found.isFetching && !isFound && <Text c="dimmed">Searching…</Text>}
            {isFound && <Told id={id} isOnlyThis={others.length === 0 && found.items.length > 0} isAny={others.length > 0} hasMore={found.hasMore} other={other} />}
          </div>
        </Stack>
      }
      confirm="Merge them"
      onConfirm={async () => {
        if (other === undefined) throw new Problem(0, 'Say which profile the other one is.', '')
        await merge.mutateAsync(other.id)
        onAsked(other.id)
        ask('')
      }}
    >
      Merge with another profile
    </ConfirmButton>
  )
}

const about = (one: ProfileDocument): string => `${nameOf(one) === '' ? '' : `${one.id}, `}${several(one.stats.events, 'event')}`

interface ToldProps {
  id: string
  isAny: boolean
  isOnlyThis: boolean
  hasMore: boolean
  other: ProfileDocument | undefined
}

/** Which of both stays; or what is to be done next. */
function Told({ id, isAny, isOnlyThis, hasMore, other }: ToldProps) {
  if (other === undefined) {
    if (isOnlyThis) return <Text c="dimmed">That is this profile itself: nobody else matches.</Text>
    if (!isAny) return <Text c="dimmed">Nobody matches.</Text>
    return <Text c="dimmed">{hasMore ? 'There are more: choose one, or say more of whom you mean.' : 'Choose one.'}</Text>
  }
  const [stays, goes] = id < other.id ? [id, other.id] : [other.id, id]
  return (
    <Text style={{ overflowWrap: 'anywhere' }}>
      <Code>{stays}</Code> stays, <Code>{goes}</Code> becomes part of it.
    </Text>
  )
}
