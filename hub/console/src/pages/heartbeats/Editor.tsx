import { Button, Group, Select, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import type { HeartbeatSpec } from './types'

const NEW: HeartbeatSpec = {
  name: '',
  event_type: '',
  condition: '',
  cron: '',
  every: '1d',
  time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
  catch_up: 'last',
}

interface Props {
  existing?: { id: string; version: number; built_in: boolean; spec: HeartbeatSpec }
  onDone: () => void
}

/** What is sent to whom, and when. */
export function Editor({ existing, onDone }: Props) {
  const [id, setId] = useState(existing?.id ?? '')
  const [spec, setSpec] = useState<HeartbeatSpec>({ ...NEW, ...existing?.spec })
  const save = useChange(
    () =>
      hub.put(path`/definitions/heartbeat/${id}`, spec, {
        headers: existing && !existing.built_in ? { 'If-Match': `"${existing.version}"` } : { 'If-None-Match': '*' },
      }),
    ['/heartbeats', '/definitions'],
  )
  const set = (name: string, value: string) => {
    setSpec({ ...spec, [name]: value })
  }
  const go = () => {
    save.mutate(undefined, { onSuccess: onDone })
  }
  const field = (name: 'name' | 'event_type' | 'condition' | 'cron' | 'every' | 'time_zone', label: string, description: string) => (
    <TextInput
      label={label}
      description={description}
      {...(name === 'name' ? {} : { styles: mono })}
      value={spec[name]}
      onChange={(event) => { set(name, event.currentTarget.value) }}
      style={{ minWidth: 200, flex: 1 }}
    />
  )
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault()
        go()
      }}
    >
      <Stack gap="sm">
        <Group align="flex-start">
          {existing === undefined && (
            <TextInput
              label="Id"
              description="It stays, such as birthday"
              styles={mono}
              required
              autoFocus
              value={id}
              onChange={(event) => { setId(event.currentTarget.value) }}
              style={{ minWidth: 200, flex: 1 }}
            />
          )}
          {field('name', 'Name', 'For people')}
          {field('event_type', 'Event type', 'Of each event that is sent')}
        </Group>
        {field('condition', 'For whom', 'A query on the profile, such as traits.plan = "pro". Empty: all')}
        <Group align="flex-start">
          {field('every', 'Every', 'Such as 15m, 1d, 1w. Empty if there is a cron line')}
          {field('cron', 'Or by cron', 'Minute, hour, day, month, weekday: 0 9 * * MON')}
          {field('time_zone', 'Time zone', 'On whose clock the cron line is')}
          <Select
            label="If it was missed"
            description="While no agent ran, or a run took longer"
            data={[
              { value: 'last', label: 'make up for the last one' },
              { value: 'all', label: 'make up for each' },
              { value: 'none', label: 'leave it out' },
            ]}
            allowDeselect={false}
            value={spec.catch_up}
            onChange={(value) => { set('catch_up', value ?? 'last') }}
            style={{ minWidth: 200, flex: 1 }}
          />
        </Group>
        <ErrorNotice error={save.error} />
        <Group>
          <ActionButton
            needs="admin"
            loading={save.isPending}
            onClick={go}
            refusal={id === '' || spec.event_type === '' ? 'Say its id and the type of its events first.' : null}
          >
            {existing ? 'Save' : 'Create heartbeat'}
          </ActionButton>
          <Button variant="default" onClick={onDone}>
            Cancel
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
