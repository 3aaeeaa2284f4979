import { Button, Group, Modal, MultiSelect, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { DOORS, idOf, newWriteKey, type SourceEntry } from './types'

/** Make a source that is not there yet, with a write key. */
export const makeSource = (id: string, spec: Record<string, unknown>) =>
  hub.put<SourceEntry>(path`/definitions/source/${id}`, spec, { headers: { 'If-None-Match': '*' } })

interface Props {
  opened: boolean
  close: () => void
  /** With the new source's id. */
  onMade: (id: string) => void
}

export function NewSource({ opened, close, onMade }: Props) {
  const [name, setName] = useState('')
  const [ownId, setOwnId] = useState<string | null>(null)
  const [type, setType] = useState(['rest', 'bridge'])
  const id = ownId ?? idOf(name)
  const make = useChange(() => makeSource(id, { name, type, write_keys: [newWriteKey()] }), ['/definitions/source'])

  function submit(event: FormEvent) {
    event.preventDefault()
    make.mutate(undefined, {
      onSuccess: () => {
        setName('')
        setOwnId(null)
        close()
        onMade(id)
      },
    })
  }

  return (
    <Modal opened={opened} onClose={close} title="New source" closeButtonProps={{ 'aria-label': 'Close' }} centered>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <TextInput
            label="Name"
            description="What people call it, such as Web shop."
            value={name}
            onChange={(event) => { setName(event.currentTarget.value) }}
            data-autofocus
            required
          />
          <TextInput
            label="Id"
            description="What senders call it. It cannot be changed."
            value={id}
            onChange={(event) => { setOwnId(event.currentTarget.value) }}
            styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
            required
          />
          <MultiSelect label="Doors" description="The ways that its events may come." data={DOORS} value={type} onChange={setType} />
          <ErrorNotice error={make.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={make.isPending} disabled={id === '' || type.length === 0}>
              Make the source
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
