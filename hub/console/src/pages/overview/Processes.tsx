import { Button, Code, Group, Stack, Text } from '@mantine/core'
import { useState } from 'react'

import { CopyButton } from '../../parts/CopyButton'
import { DataTable } from '../../parts/DataTable'
import { bytes, several } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { Process, Told } from './types'
import { away } from './words'

const MOST = 10

/** Who lives and how it is; of what kind nobody lives, and how to start one. */
export function Processes({ told }: { told: Told }) {
  const [all, setAll] = useState(false)
  const { processes, kinds } = told
  if (processes === null || kinds === null) {
    return (
      <Panel title="Processes">
        <Text c="dimmed">Not known now: see above.</Text>
      </Panel>
    )
  }
  const rows = [...processes].sort((a, b) => rank(b) - rank(a))
  const versions = [...new Set(processes.map((one) => one.version))].sort()
  const memory = processes.reduce((sum, one) => sum + one.memory_bytes, 0)
  return (
    <Panel
      title="Processes"
      aside={
        <Text size="sm" c="dimmed">
          alive: {kinds.map(({ kind, alive }) => `${alive} ${kind}`).join(', ')}; {bytes(memory)} together
        </Text>
      }
    >
      <Stack gap="xs">
        {away(kinds).map(({ kind, without, start, tone }) => (
          <Group key={kind} gap="xs" role="alert">
            <StateBadge state={`${kind}: none is alive`} tone={tone} />
            <Text size="sm">{without} Start one:</Text>
            <Group gap={2} wrap="nowrap">
              <Code>{start}</Code>
              <CopyButton value={start} label={`Copy ${start}`} />
            </Group>
          </Group>
        ))}
        {versions.length > 1 && (
          <Text size="sm" c="var(--hub-warn)">
            {several(versions.length, 'version')} run beside each other: {versions.join(', ')}. That is so while the hub is upgraded.
          </Text>
        )}
        <DataTable
          label="Processes"
          rows={all ? rows : rows.slice(0, MOST)}
          id={(one) => one.id}
          empty="No process tells that it lives."
          columns={[
            { title: 'Process', cell: (one) => one.kind },
            { title: 'State', cell: (one) => <State one={one} /> },
            { title: 'Host, pid', cell: (one) => <Text span size="sm" ff="monospace">{`${one.host} ${one.pid}`}</Text> },
            { title: 'Version', cell: (one) => one.version },
            { title: 'Since', cell: (one) => <TimeAgo at={one.since} /> },
            { title: 'Memory', right: true, cell: (one) => bytes(one.memory_bytes) },
            { title: 'Last error', cell: (one) => <LastError one={one} /> },
          ]}
        />
        {rows.length > MOST && (
          <Button variant="default" w="fit-content" onClick={() => { setAll(!all) }} aria-expanded={all}>
            {all ? `Show ${MOST}` : `Show all ${rows.length}`}
          </Button>
        )}
      </Stack>
    </Panel>
  )
}

/** Those that are not well come first. */
function rank(one: Process): number {
  return (one.state === 'waiting' ? 2 : 0) + (one.last_error === null ? 0 : 1)
}

function State({ one }: { one: Process }) {
  return (
    <Stack gap={0}>
      <StateBadge state={one.state} tone={one.state === 'waiting' ? 'warn' : 'good'} />
      {one.detail !== '' && (
        <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          {one.detail}
        </Text>
      )}
    </Stack>
  )
}

function LastError({ one }: { one: Process }) {
  if (one.last_error === null) return <Text c="dimmed">none</Text>
  return (
    <Text size="sm" lineClamp={2} miw={160} title={one.last_error} style={{ overflowWrap: 'anywhere' }}>
      <Text span c="var(--hub-bad)" size="sm">
        <TimeAgo at={one.last_error_at} />
      </Text>
      : {one.last_error}
    </Text>
  )
}
