import { Anchor, Group, Stack, Text } from '@mantine/core'
import { Link } from 'wouter'

import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { ProfileDocument } from '../profiles/types'
import { cameWith } from './provenance'

/** What somebody has agreed to, and what not. */
export function ConsentsOf({ profile }: { profile: ProfileDocument }) {
  const consents = Object.entries(profile.consents)
  return (
    <Panel title="Consents">
      {consents.length === 0 && (
        <Text size="sm" c="dimmed">
          Has agreed to nothing, and refused nothing. What may be asked for is a consent type, see{' '}
          <Anchor component={Link} href="/definitions" inherit>
            Definitions
          </Anchor>
          .
        </Text>
      )}
      <Stack gap={4}>
        {consents.map(([id, { granted, revoke }]) => (
          <div key={id}>
            <Group justify="space-between" gap="xs" wrap="nowrap">
              <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                {id}
              </Text>
              <StateBadge state={granted ? 'given' : 'refused'} tone={granted ? 'good' : 'warn'} />
            </Group>
            <Text size="xs" c="dimmed" component="div">
              <TimeAgo at={cameWith(profile, `consents.${id}`)?.at} />
              {revoke !== null && (
                <>
                  , ends <TimeAgo at={revoke} />
                </>
              )}
            </Text>
          </div>
        ))}
      </Stack>
    </Panel>
  )
}
