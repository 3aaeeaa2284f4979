import { Code, Group } from '@mantine/core'
import { useLocation } from 'wouter'

import { url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { DataTable } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { Kind } from './kinds'
import { exported } from './exported'
import type { Entry } from './types'

/** So many may be saved one by one. */
const MOST_FILES = 25

/** All definitions of a kind. */
export function List({ kind }: { kind: Kind }) {
  const [, go] = useLocation()
  const found = useGet<{ items: Entry[] }>(`/definitions/${kind.kind}`)
  const own = found.data?.items.filter(({ built_in: is }) => !is) ?? []
  const make = () => { go(url('/definitions', { kind: kind.kind, new: 1 })) }
  return (
    <Panel
      title={`${kind.title}: ${kind.about}`}
      aside={
        <Group gap="xs">
          <ActionButton
            needs="read"
            variant="default"
            refusal={own.length === 0 ? 'There is none of your own.' : own.length > MOST_FILES ? `There are more than ${MOST_FILES}: "hub export definitions" writes them all.` : null}
            onClick={() => { own.forEach(exported) }}
          >
            {own.length < 2 ? 'Export' : `Export ${own.length} files`}
          </ActionButton>
          <ActionButton needs="admin" onClick={make}>
            New
          </ActionButton>
        </Group>
      }
    >
      <DataTable
        label={kind.title}
        rows={found.data?.items ?? []}
        isPending={found.isPending}
        error={found.error}
        retry={() => void found.refetch()}
        id={({ id }) => id}
        to={({ id }) => url('/definitions', { kind: kind.kind, id })}
        empty={
          <EmptyState title="There is none of this kind" action={{ label: 'Write one', onClick: make }}>
            {kind.about} The editor lists the fields that it may have.
          </EmptyState>
        }
        columns={[
          { title: 'Id', cell: ({ id }) => <Code style={{ color: 'inherit' }}>{id}</Code> },
          { title: 'Name', cell: ({ spec }) => String(spec['name'] ?? '') },
          { title: 'State', cell: ({ spec }) => <StateBadge state={spec['enabled'] === false ? 'off' : 'in force'} tone={spec['enabled'] === false ? 'idle' : 'good'} /> },
          { title: 'Version', right: true, cell: ({ version, built_in: is }) => (is ? 'built in' : version) },
          { title: 'Changed', cell: ({ updated_at_ms: at, built_in: is }) => (is ? 'comes with the hub' : <TimeAgo at={at} />) },
        ]}
      />
    </Panel>
  )
}
