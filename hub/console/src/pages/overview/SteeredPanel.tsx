import { Anchor, Group, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { Steered } from './types'

interface Props {
  title: string
  /** Null: not known now. */
  steered: Steered | null
  /** Of one of them. */
  to: (id: string) => string
  /** Said when there is none. */
  empty: ReactNode
}

/** Bridges, or destinations: how many are in which state, and what is wrong with the worst. */
export function SteeredPanel({ title, steered, to, empty }: Props) {
  return (
    <Panel title={title}>
      {steered === null ? <Text c="dimmed">Not known now: see above.</Text> : <States steered={steered} to={to} empty={empty} />}
    </Panel>
  )
}

function States({ steered: { states, worst }, to, empty }: { steered: Steered } & Pick<Props, 'to' | 'empty'>) {
  const found = Object.entries(states)
  if (found.length === 0) {
    return (
      <Text c="dimmed" component="div">
        {empty}
      </Text>
    )
  }
  const [first, ...others] = worst
  return (
    <Stack gap={6}>
      <Group gap="md">
        {found.map(([state, n]) => (
          <Group key={state} gap={6} wrap="nowrap">
            <Text fw={600} className="hub-number">
              {n}
            </Text>
            <StateBadge state={state} />
          </Group>
        ))}
      </Group>
      {first && (
        <Text size="sm" lineClamp={3} title={first.error} style={{ overflowWrap: 'anywhere' }}>
          <Anchor component={Link} href={to(first.id)} inherit>
            {first.id}
          </Anchor>
          <Text span c="var(--hub-bad)" size="sm">
            {' '}
            {first.state.replaceAll('_', ' ')} <TimeAgo at={first.at} />
          </Text>
          : {first.error}
        </Text>
      )}
      {others.length > 0 && (
        <Text size="sm" c="dimmed">
          also:{' '}
          {others.map(({ id }, n) => (
            <span key={id}>
              {n > 0 && ', '}
              <Anchor component={Link} href={to(id)} inherit>
                {id}
              </Anchor>
            </span>
          ))}
        </Text>
      )}
    </Stack>
  )
}
