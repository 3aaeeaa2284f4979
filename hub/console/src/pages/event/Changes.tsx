import { Text } from '@mantine/core'

import { DataTable } from '../../parts/DataTable'
import { Value } from '../../parts/Value'
import type { By, Change } from './types'

/** What an event changed in its profile: before, after, and by which mapping. */
export function Changes({ changes }: { changes: Change[] }) {
  return (
    <DataTable
      label="What it changed in the profile"
      rows={changes}
      id={(one) => `${one.field} ${one.op}`}
      empty={<Text size="sm" c="dimmed">It changed no field of the profile. What goes from an event into its profile is a mapping, see Definitions.</Text>}
      columns={[
        { title: 'Field', cell: (one) => <Text size="sm" miw={110}><Value value={one.field} /></Text> },
        { title: 'Before', cell: (one) => ('appended' in one ? '' : <Value value={one.before ?? undefined} />) },
        {
          title: 'After',
          cell: (one) =>
            'appended' in one ? (
              <>
                appended: <Value value={one.appended} />
              </>
            ) : (
              <b>
                <Value value={one.after ?? undefined} />
              </b>
            ),
        },
        { title: 'By', cell: (one) => <Value value={one.mappings.length > 0 ? one.mappings.map(by).join('; ') : one.op} /> },
      ]}
    />
  )
}

const by = ({ id, version, changed_since }: By): string =>
  `${id}${version >= 0 ? ` version ${version}` : ' of the hub'}${changed_since ? ' (changed since)' : ''}`
