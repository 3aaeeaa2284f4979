import { Anchor, Button, Collapse, Group, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { Panel } from '../../parts/Panel'
import { TimeAgo } from '../../parts/Time'
import type { ProfileDocument, Stay } from '../profiles/types'
import { Why } from './Why'

/** Which segments somebody is in, since when and why. */
export function SegmentsOf({ profile }: { profile: ProfileDocument }) {
  return (
    <Panel title="Segments">
      {profile.segments.length === 0 ? (
        <Text size="sm" c="dimmed">
          In no segment.{' '}
          <Anchor component={Link} href="/segments" inherit>
            See which there are
          </Anchor>
        </Text>
      ) : (
        <Stack gap="xs">
          {profile.segments.map((id) => (
            <One key={id} id={id} profile={profile.id} stay={profile.metadata.segments?.[id]} />
          ))}
        </Stack>
      )}
    </Panel>
  )
}

const BY: Record<Stay['by'], string> = { condition: 'its condition', list: 'a list', flow: 'a flow' }

function One({ id, profile, stay }: { id: string; profile: string; stay: Stay | undefined }) {
  const [isOpen, { toggle }] = useDisclosure()
  return (
    <div>
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <Text size="sm" style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
          <Anchor component={Link} href={path`/segments/${id}`} inherit>
            {id}
          </Anchor>
        </Text>
        {stay?.by === 'condition' && (
          <Button variant="subtle" size="compact-sm" onClick={toggle} aria-expanded={isOpen} aria-label={`Why in ${id}`}>
            Why?
          </Button>
        )}
      </Group>
      {stay && (
        <Text size="xs" c="dimmed" component="div" lh="26px">
          since <TimeAgo at={stay.since} />, by {BY[stay.by] ?? stay.by}
          {stay.event !== null && (
            <>
              {', '}
              <Anchor component={Link} href={path`/events/${stay.event}`} inherit>
                with this event
              </Anchor>
            </>
          )}
        </Text>
      )}
      <Collapse expanded={isOpen} transitionDuration={0}>
        {isOpen && <Why segment={id} profile={profile} />}
      </Collapse>
    </div>
  )
}
