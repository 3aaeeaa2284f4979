import { Code, Group, Select, Stack, Text } from '@mantine/core'
import { useState } from 'react'

import { hub, path } from '../api/client'
import { useChange, useList } from '../api/hooks'
import { ConfirmButton } from './ConfirmButton'
import { DataTable } from './DataTable'
import { Diff } from './Diff'
import { pretty } from './pretty'
import { Time } from './Time'

interface Version {
  version: number
  updated_at_ms: number
  current: boolean
  /** Null: it was deleted then. */
  spec: Record<string, unknown> | null
}

interface Props {
  kind: string
  id: string
  /** Below these addresses things are different after going back. */
  again?: string[]
}

/** Every version of a definition, what is different between two of them, and the way back. */
export function Versions({ kind, id, again = [] }: Props) {
  const list = useList<Version>(path`/definitions/${kind}/${id}/versions`)
  const [from, setFrom] = useState<string | null>(null)
  const [to, setTo] = useState<string | null>(null)
  const rollback = useChange(
    (version: number) => hub.post(path`/definitions/${kind}/${id}/rollback`, { version }),
    [path`/definitions/${kind}`, ...again],
  )
  const at = (version: string | null, otherwise: number) =>
    list.items.find((one) => String(one.version) === version) ?? list.items[otherwise]
  const after = at(to, 0)
  const before = at(from, 1)
  const choices = list.items.map((one) => ({ value: String(one.version), label: `${one.version}${one.current ? ' (in force)' : ''}` }))
  return (
    <Stack gap="sm">
      <DataTable
        {...list}
        label="Versions"
        rows={list.items}
        id={({ version }) => String(version)}
        empty="No version is kept yet."
        columns={[
          { title: 'Version', cell: ({ version }) => <Code>{version}</Code> },
          { title: 'Since', cell: ({ updated_at_ms: at }) => <Time at={at} /> },
          { title: 'What', cell: ({ current: is, spec }) => (is ? 'in force' : spec === null ? 'deleted' : '') },
          {
            title: 'Back',
            right: true,
            cell: ({ version, current: is, spec }) =>
              is || spec === null ? null : (
                <ConfirmButton
                  needs="admin"
                  variant="default"
                  size="compact-xs"
                  question={`Go back to version ${version}?`}
                  consequence="It becomes the newest version and is in force at once. Nothing is lost: all versions stay here."
                  confirm={`Go back to ${version}`}
                  onConfirm={() => rollback.mutateAsync(version)}
                >
                  Roll back
                </ConfirmButton>
              ),
          },
        ]}
      />
      {after !== undefined && before !== undefined && (
        <>
          <Group gap="sm" align="flex-end">
            <Select label="What has changed from" data={choices} value={String(before.version)} onChange={setFrom} allowDeselect={false} w={150} />
            <Select label="to" data={choices} value={String(after.version)} onChange={setTo} allowDeselect={false} w={150} />
          </Group>
          {pretty(before.spec) === pretty(after.spec) ? (
            <Text c="dimmed">They say the same.</Text>
          ) : (
            <Diff label={`From version ${before.version} to ${after.version}`} before={pretty(before.spec)} after={pretty(after.spec)} />
          )}
        </>
      )}
    </Stack>
  )
}
