import { Anchor, Group, Stack, Text, TextInput } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'wouter'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import { Explained } from './Explained'
import type { Previewed } from './types'

/** Is this one in it, since when and by what? And which part of the condition says so. */
export function Why({ segment }: { segment: string }) {
  const [profile, setProfile] = useState('')
  const ask = useChange((id: string) => hub.post<Previewed>('/segments/preview', { segment, profile: id, size: 0 }))
  const found = ask.data?.profile
  const go = () => {
    if (profile.trim() !== '') ask.mutate(profile.trim())
  }
  return (
    <Panel title="Why is somebody in it, or not?">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          go()
        }}
      >
        <Group gap="xs" align="flex-end" mb="sm">
          <TextInput
            label="Profile id"
            description="Any id that was ever theirs"
            styles={mono}
            value={profile}
            onChange={(event) => { setProfile(event.currentTarget.value) }}
            style={{ flex: 1, minWidth: 180, maxWidth: 420 }}
          />
          <ActionButton needs="read" onClick={go} loading={ask.isPending} size="sm" variant="default">
            Explain
          </ActionButton>
        </Group>
      </form>
      <div aria-live="polite">
        <ErrorNotice error={ask.error} />
        {found && (
          <Stack gap="sm">
            <Group gap="sm">
              <StateBadge
                state={(found.parts ? found.matches : found.membership !== null) ? 'in it' : 'not in it'}
                tone={(found.parts ? found.matches : found.membership !== null) ? 'good' : 'idle'}
              />
              <Anchor component={Link} href={path`/profiles/${found.id}`} ff="monospace">
                {found.id}
              </Anchor>
              {found.membership && (
                <Text c="dimmed">
                  since <TimeAgo at={found.membership.since} />, by {found.membership.flow ? `the flow ${found.membership.flow}` : `a ${found.membership.by}`}
                  {found.membership.event !== null && (
                    <>
                      , with{' '}
                      <Anchor component={Link} href={path`/events/${found.membership.event}`} inherit>
                        this event
                      </Anchor>
                    </>
                  )}
                </Text>
              )}
            </Group>
            {found.parts && <Explained part={found.parts} />}
          </Stack>
        )}
      </div>
    </Panel>
  )
}
