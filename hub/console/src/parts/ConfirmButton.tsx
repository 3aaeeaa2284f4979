import { type ButtonProps, Button, Group, Modal, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { type FormEvent, type ReactNode, useState } from 'react'

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

  async function go(event: FormEvent) {
    event.preventDefault()
    // of React's events those of a dialog reach the form that its button stands in, too
    event.stopPropagation()
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
      <ActionButton
        {...button}
        onClick={() => {
          setError(null)
          open()
        }}
      >
        {children}
      </ActionButton>
      <Modal opened={isOpen} onClose={close} title={question} closeButtonProps={{ 'aria-label': 'Close' }} centered>
        <form onSubmit={(event) => void go(event)}>
          <Text component="div" mb="md">
            {consequence}
          </Text>
          <ErrorNotice error={error} />
          <Group justify="flex-end" mt="md">
            <Button variant="default" onClick={close} data-autofocus>
              Cancel
            </Button>
            <Button type="submit" color="red.8" loading={busy}>
              {confirm}
            </Button>
          </Group>
        </form>
      </Modal>
    </>
  )
}
