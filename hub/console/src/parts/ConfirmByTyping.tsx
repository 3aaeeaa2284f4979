import { Button, type ButtonProps, Code, Group, Modal, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { type FormEvent, type ReactNode, useState } from 'react'

import type { Role } from '../api/types'
import { ActionButton } from './ActionButton'
import { ErrorNotice } from './ErrorNotice'

interface Props extends Omit<ButtonProps, 'role'> {
  needs: Role
  question: string
  /** What will be different, and that it cannot be undone. */
  consequence: ReactNode
  /** What has to be typed. */
  typed: string
  /** What the button in the dialog says: what it does, not `OK`. */
  confirm: string
  onConfirm: () => Promise<unknown>
  /** More to choose, above what is typed. */
  more?: ReactNode
  refusal?: string | null
  children: ReactNode
}

/** A button for what can never be undone: who wants it types what it is done to. */
export function ConfirmByTyping({ question, consequence, typed, confirm, onConfirm, more, children, ...button }: Props) {
  const [isOpen, { open, close }] = useDisclosure()
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const isSame = text.trim() === typed.trim()

  async function go(event: FormEvent) {
    event.preventDefault()
    if (!isSame) return
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
          setText('')
          setError(null)
          open()
        }}
      >
        {children}
      </ActionButton>
      <Modal opened={isOpen} onClose={close} title={question} closeButtonProps={{ 'aria-label': 'Close' }} centered transitionProps={{ duration: 0 }}>
        <form onSubmit={(event) => void go(event)}>
          <Text component="div" mb="sm">
            {consequence}
          </Text>
          {more}
          <TextInput
            mt="sm"
            mb="sm"
            data-autofocus
            label={
              <>
                To go on, type{' '}
                <Code style={{ overflowWrap: 'anywhere', color: 'inherit' }}>{typed}</Code>
              </>
            }
            aria-label={`To go on, type ${typed}`}
            autoComplete="off"
            spellCheck={false}
            value={text}
            onChange={(event) => {
              setText(event.currentTarget.value)
            }}
          />
          <ErrorNotice error={error} />
          <Group justify="flex-end" mt="md">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" color="red.8" loading={busy} disabled={!isSame}>
              {confirm}
            </Button>
          </Group>
        </form>
      </Modal>
    </>
  )
}
