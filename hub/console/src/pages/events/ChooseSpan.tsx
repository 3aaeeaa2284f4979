import { Button, Group, Popover, Stack, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconCalendar } from '@tabler/icons-react'
import { type FormEvent, useState } from 'react'

interface Props {
  from: string
  to: string
  onSpan: (from: string, to: string) => void
}

/** From when to when, typed: what the chart is for those who have no mouse. */
export function ChooseSpan({ from, to, onSpan }: Props) {
  const [isOpen, { open, close }] = useDisclosure()
  const [begin, setBegin] = useState('')
  const [end, setEnd] = useState('')
  const isBackwards = begin !== '' && end !== '' && begin >= end

  function take(event: FormEvent) {
    event.preventDefault()
    if (isBackwards) return
    close()
    onSpan(begin === '' ? '' : new Date(begin).toISOString(), end === '' ? '' : new Date(end).toISOString())
  }

  return (
    <Popover opened={isOpen} onChange={(yes) => { if (!yes) close() }} position="bottom-end" shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button
          variant="default"
          leftSection={<IconCalendar size={14} aria-hidden />}
          onClick={() => {
            setBegin(local(from))
            setEnd(local(to))
            if (isOpen) close()
            else open()
          }}
        >
          From … to
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Span of time">
        <form onSubmit={take}>
          <Stack gap="xs">
            <TextInput type="datetime-local" step={1} label="From" value={begin} onChange={(event) => { setBegin(event.currentTarget.value) }} />
            <TextInput
              type="datetime-local"
              step={1}
              label="To, itself outside"
              value={end}
              error={isBackwards ? 'It has to be later than the beginning.' : null}
              onChange={(event) => { setEnd(event.currentTarget.value) }}
            />
            <Group justify="flex-end">
              <Button type="submit">Look at it</Button>
            </Group>
          </Stack>
        </form>
      </Popover.Dropdown>
    </Popover>
  )
}

/** A time as the browser's field for it has it, in the zone of whoever looks. */
function local(text: string): string {
  const at = new Date(text)
  if (Number.isNaN(at.getTime())) return ''
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}
