import { Checkbox, Group, Stack, Text, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useState } from 'react'

import { ask, hub, path } from '../../api/client'
import { ActionButton } from '../../parts/ActionButton'
import { ConfirmByTyping } from '../../parts/ConfirmByTyping'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Panel } from '../../parts/Panel'

/** All that is known as a file, and to be forgotten. Args: onAsked: with the id of an erasure or a suppression. */
export function Privacy({ id, onAsked }: { id: string; onAsked: (order: string) => void }) {
  const [reason, setReason] = useState('')
  const [suppress, setSuppress] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)

  async function download() {
    setBusy(true)
    setError(null)
    try {
      const answer = await ask('GET', path`/profiles/${id}/export`)
      const name = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '')?.[1] ?? 'profile.zip'
      const url = URL.createObjectURL(await answer.blob())
      const link = document.createElement('a')
      link.href = url
      link.download = name
      link.click()
      setTimeout(() => { URL.revokeObjectURL(url) }, 60_000)
      notifications.show({ message: `${name} is downloaded.` })
    } catch (failed) {
      setError(failed)
    } finally {
      setBusy(false)
    }
  }

  async function send(what: 'erase' | 'suppress') {
    const body = what === 'erase' ? { reason, suppress } : { reason }
    const { id: order } = await hub.post<{ id: string }>(`${path`/profiles/${id}`}/${what}`, body)
    onAsked(order)
  }

  const why = (
    <TextInput
      label="Reason, such as a ticket's number"
      description="For the report, which is kept: no personal data."
      value={reason}
      onChange={(event) => {
        setReason(event.currentTarget.value)
      }}
    />
  )
  return (
    <Panel title="Privacy">
      <Stack gap="xs">
        <Group gap="xs">
          <ActionButton needs="read" variant="default" loading={busy} onClick={() => void download()}>
            Export
          </ActionButton>
          <ConfirmByTyping
            needs="admin"
            variant="default"
            typed={id}
            question="Take no more of this person?"
            consequence="What comes for them from now on is dropped, and counted as that. What is there stays. It can be lifted again."
            confirm="Suppress"
            more={why}
            onConfirm={() => send('suppress')}
          >
            Suppress…
          </ConfirmByTyping>
          <ConfirmByTyping
            needs="admin"
            color="red.8"
            typed={id}
            question="Erase this person?"
            consequence="The profile, its visits, identifiers, merges and runs are removed with all events and dead letters that name them, and whatever was received up to now stays away for ever. This cannot be undone."
            confirm="Erase for ever"
            more={
              <Stack gap="xs">
                {why}
                <Checkbox
                  label="Also take no more of them"
                  checked={suppress}
                  onChange={(event) => {
                    setSuppress(event.currentTarget.checked)
                  }}
                />
              </Stack>
            }
            onConfirm={() => send('erase')}
          >
            Erase…
          </ConfirmByTyping>
        </Group>
        <Text size="xs" c="dimmed">
          The export is a ZIP file of all that the hub knows of them.
        </Text>
        <ErrorNotice error={error} />
      </Stack>
    </Panel>
  )
}
