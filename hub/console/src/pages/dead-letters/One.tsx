import { Anchor, Code, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link, useSearchParams } from 'wouter'

import { path, url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { cameThrough } from '../../parts/cameThrough'
import { CopyButton } from '../../parts/CopyButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Json } from '../../parts/Json'
import { Loading } from '../../parts/Loading'
import { bytes } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { Time, TimeAgo } from '../../parts/Time'
import type { Trace } from '../event/types'
import { Original } from './Original'
import { Repair } from './Repair'
import { type Letter, mendOf } from './types'

const EVERY_MS = 2_000

/** One letter: why it failed, what it was, and the way back. */
export function One({ id }: { id: string }) {
  const [search] = useSearchParams()
  const others = new URLSearchParams(search)
  others.delete('id')
  const above = [{ label: 'Dead letters', to: others.size ? `/dead-letters?${others}` : '/dead-letters' }]
  const found = useGet<Letter>(path`/dead-letters/${id}`, {}, { every: EVERY_MS })
  // what it came through only the hub can tell: ids may hold what parts an origin
  const trace = useGet<Trace>(path`/events/${id}/trace`)
  if (found.data === undefined) {
    return (
      <>
        <PageHeader title="Dead letter" above={above} />
        {found.isPending ? <Loading /> : <ErrorNotice error={found.error} retry={() => void found.refetch()} />}
      </>
    )
  }
  const letter = found.data
  const edge = trace.data?.edge
  return (
    <>
      <PageHeader
        title={letter.reason.replaceAll('_', ' ')}
        above={above}
        badge={<StateBadge state={letter.status} tone={letter.status === 'open' ? 'warn' : 'good'} />}
        about={letter.detail}
      />
      <Stack gap="md">
        <ErrorNotice error={found.error} />
        {letter.status === 'open' && <Text>{mendOf(letter.reason)}</Text>}
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
          <Stack gap="md">
            <Panel title="Where it comes from">
              <Stack gap={6}>
                <Fact name="Source">
                  <Anchor component={Link} href={url('/sources', { id: letter.source })} style={{ overflowWrap: 'anywhere' }}>
                    {letter.source || 'not known'}
                  </Anchor>
                </Fact>
                {Object.entries(edge ? cameThrough(edge) : { Place: letter.origin }).map(([name, value]) => value && <Fact key={name} name={name}>{value}</Fact>)}
                <Fact name="Failed at">the {letter.stage}</Fact>
                <Fact name="Failed first">
                  <Time at={letter.first_at} />
                </Fact>
                <Fact name="Failed last">
                  <TimeAgo at={letter.at} />
                </Fact>
                <Fact name="Attempts">{letter.attempts}</Fact>
                <Fact name="Its own time">
                  <Time at={letter.time_ms} />
                </Fact>
                <Fact name="Id">
                  <Group gap={4}>
                    <Code>{letter.id}</Code>
                    <CopyButton value={letter.id} label="Copy the letter’s id" />
                  </Group>
                </Fact>
                {letter.status === 'resolved' && (
                  <Fact name="Resolved">
                    <TimeAgo at={letter.resolved_at} />
                  </Fact>
                )}
              </Stack>
            </Panel>
            <Panel title={`Original, ${bytes(letter.body_size)}`}>
              <Original letter={letter} />
            </Panel>
          </Stack>
          <Stack gap="md">
            <Panel title="Send it again">
              <Repair letter={letter} />
            </Panel>
            <Panel title="Headers and more">
              <Stack gap="xs">
                <Json value={letter.headers} label="Headers" most={200} />
                <Json value={{ key: letter.key, ...letter.meta }} label="What the bridge knew besides" most={240} />
              </Stack>
            </Panel>
          </Stack>
        </SimpleGrid>
      </Stack>
    </>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <Group justify="space-between" align="flex-start" wrap="nowrap" gap="md">
      <Text c="dimmed" style={{ flex: 'none' }}>
        {name}
      </Text>
      <Text component="div" ta="right" style={{ minWidth: 0 }}>
        {children}
      </Text>
    </Group>
  )
}
