import { Anchor, Text, TextInput } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { TimeAgo } from '../../parts/Time'
import { Value } from '../../parts/Value'
import type { ProfileDocument } from '../profiles/types'
import { cameWith, leaves } from './provenance'

/** Everything that is known of somebody, with when and by which event it came. */
export function FieldsOf({ profile }: { profile: ProfileDocument }) {
  const [part, setPart] = useState('')
  const { traits, data, interests, stats } = profile
  const all = leaves({ traits, data, interests, stats }, '')
  const shown = all.filter(({ field, value }) => `${field} ${String(value)}`.toLowerCase().includes(part.toLowerCase()))
  return (
    <>
      {all.length > 8 && (
        <TextInput
          size="xs"
          mb="xs"
          aria-label="Fields with"
          placeholder="Only fields or values with …"
          value={part}
          onChange={(event) => {
            setPart(event.currentTarget.value)
          }}
        />
      )}
      <DataTable
        label="Fields of the profile"
        rows={shown}
        id={(one) => one.field}
        empty={
          <EmptyState title="Nothing is known" action={{ label: 'See the definitions', to: '/definitions' }}>
            What goes from events into profiles is said by event types and mappings.
          </EmptyState>
        }
        columns={[
          { title: 'Field', cell: (one) => <Text size="sm" miw={130}><Value value={one.field} /></Text> },
          { title: 'Value', cell: (one) => <Value value={one.value} most={500} /> },
          { title: 'Changed', cell: (one) => <TimeAgo at={cameWith(profile, one.field)?.at} /> },
          {
            title: 'By',
            cell: (one) => {
              const came = cameWith(profile, one.field)
              return came ? (
                <Anchor component={Link} href={path`/events/${came.event}`} inherit>
                  event
                </Anchor>
              ) : (
                <span title="Counted by the hub itself, or there from the beginning">the hub</span>
              )
            },
          },
        ]}
      />
    </>
  )
}
