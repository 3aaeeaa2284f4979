import { Button, Drawer, Group, Stack } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { Facts } from '../../parts/Facts'
import { Id } from '../../parts/Id'
import { Json } from '../../parts/Json'
import { several } from '../../parts/numbers'
import { Time } from '../../parts/Time'
import type { Told } from './types'

/** One that has come, as the tail told of it. */
export function Opened({ one, onClose }: { one: Told | null; onClose: () => void }) {
  return (
    <Drawer
      opened={one !== null}
      onClose={onClose}
      position="right"
      title={one?.type ?? ''}
      closeButtonProps={{ 'aria-label': 'Close' }}
      transitionProps={{ duration: 0 }}
    >
      {one && (
        <Stack gap="sm">
          <Facts
            of={{
              Id: <Id id={one.id} of="id of the event" />,
              Happened: <Time at={one.time} />,
              Received: <Time at={one.received_at} />,
              Source: one.source,
              Profile: one.profile_id && <Id id={one.profile_id} to={path`/profiles/${one.profile_id}`} of="id of the profile" />,
              Session: one.session_id,
              Entered: one.segments_entered.join(', '),
              Left: one.segments_left.join(', '),
            }}
          />
          <Json value={one.properties} label="properties" most={360} />
          {one.properties_left_out > 0 && <span>{several(one.properties_left_out, 'property', 'properties')} more: too large for here.</span>}
          <Group gap="xs">
            <Button component={Link} href={path`/events/${one.id}`}>
              Its whole story
            </Button>
          </Group>
        </Stack>
      )}
    </Drawer>
  )
}
