import { type ButtonProps, Button, Group, Modal, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { type ReactNode, useState } from 'react'

import type { Role } from '../api/types'
import { ActionButton } from './ActionButton'
import { ErrorNotice } from './ErrorNotice'

interface Props extends Omit<ButtonProps, 'role'> {
  needs: Role
  /** The question, such as `Erase this profile?`. */
  question: string
  /** What will be different, and whether it can be undone. */
  consequence: ReactNode
  /** What the button in the dialog says: what it does, not `OK`. */
  confirm: string
  /** Done when confirmed; while it runs the dialog waits, and shows its error. */
  onConfirm: () => Promise<unknown>
  refusal?: string | null
  children: ReactNode
}

/** A button that asks before it does something that is hard to undo. */
export function ConfirmButton({ question, consequence, confirm, onConfirm, children, ...button }: Props) {
  const [isOpen, { open, close }] = useDisclosure()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)

  async function go() {
    setBusy(true)
    setError(null)
    try {
      await onConfirm()
      close()
    } catch (failed) {
      setError(failed)
    } finally {
      setBusy(false)
    }
  }

  return (
    <>
      <ActionButton {...button} onClick={open}>
        {children}
      </ActionButton>
      <Modal opened={isOpen} onClose={close} title={question} closeButtonProps={{ 'aria-label': 'Close' }} centered>
        <Text component="div" mb="md">
          {consequence}
        </Text>
        <ErrorNotice error={error} />
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={close} data-autofocus>
            Cancel
          </Button>
          <Button color="red.8" loading={busy} onClick={() => void go()}>
            {confirm}
          </Button>
        </Group>
      </Modal>
    </>
  )
}
