import { Button, Group, Text } from '@mantine/core'
import { useState } from 'react'

import { hub, path, Problem } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Facts } from '../../parts/Facts'
import { Id } from '../../parts/Id'
import { Loading } from '../../parts/Loading'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { Time } from '../../parts/Time'
import type { Erasure } from './types'

const TITLES = { erase: 'Erasure', suppress: 'Suppression', lift: 'Suppression lifted' }

/** How far an erasure or a suppression is, until it is done. Args: profile: to lift it again. */
export function Report({ order, profile, onClose }: { order: string; profile: string; onClose: () => void }) {
  const [isDone, setIsDone] = useState(false)
  const found = useGet<Erasure>(path`/erasures/${order}`, {}, { every: isDone ? false : 500 })
  const lift = useChange(() => hub.delete(path`/profiles/${profile}/suppress`), ['/profiles', '/erasures'])
  if (found.data?.state === 'done' && !isDone) setIsDone(true)
  // accepted, and not there yet
  const isEarly = found.error instanceof Problem && found.error.status === 404
  const { data } = found
  return (
    <Panel
      title={data ? TITLES[data.kind] : 'Asked for'}
      aside={
        <Button variant="subtle" size="compact-sm" onClick={onClose}>
          Close
        </Button>
      }
    >
      {!isEarly && <ErrorNotice error={found.error} />}
      {data ? (
        <div role="status">
          <StateBadge state={data.state} />
          <Facts
            of={{
              'Asked for': <Time at={data.asked_at} />,
              Done: data.done_at && <Time at={data.done_at} />,
              Removed:
                data.kind === 'erase'
                  ? Object.entries(data.removed)
                      .map(([what, many]) => `${count(many)} ${what.replaceAll('_', ' ')}`)
                      .join(', ') || 'nothing'
                  : null,
              "Kafka's copies": data.kafka && (data.kafka.gone_at === null ? data.kafka.note || 'not known yet' : <>gone by <Time at={data.kafka.gone_at} /></>),
              Suppressed: data.suppressed ? 'yes: nothing more is taken of them' : null,
              Report: <Id id={data.id} of="id of the report" />,
            }}
          />
          {data.suppressed && (
            <Group mt="xs" gap="xs">
              <ActionButton needs="admin" variant="default" loading={lift.isPending} onClick={() => { lift.mutate() }}>
                Lift the suppression
              </ActionButton>
              {lift.isSuccess && <Text size="sm">Lifted.</Text>}
            </Group>
          )}
          <ErrorNotice error={lift.error} />
        </div>
      ) : (
        <Loading />
      )}
    </Panel>
  )
}
