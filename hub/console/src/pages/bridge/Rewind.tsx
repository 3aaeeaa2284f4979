import { SegmentedControl, Stack, Text, TextInput } from '@mantine/core'
import { useState } from 'react'

import { hub, path, Problem } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { type Line, nameOf, type Of } from './types'

const WORDS: Record<string, string> = { beginning: 'The beginning', time: 'A time', offset: 'An offset' }

/** Let it read, or send, again from somewhere. */
export function Rewind({ of, line }: { of: Of; line: Line }) {
  const places = of === 'bridge' || line.rewinds_to.length > 0 ? line.rewinds_to : ['beginning', 'time']
  const [to, setTo] = useState('')
  const [at, setAt] = useState('')
  const chosen = to || places[0] || ''
  const rewind = useChange(
    () => hub.post(path`/${of}s/${line.id}/rewind`, { to: chosen === 'beginning' ? 'beginning' : chosen === 'time' ? new Date(at).toISOString() : at }),
    [`/${of}s`],
  )
  const refusal = places.length === 0
    ? line.process === null
      ? 'What it can be rewound to is known once it has run.'
      : 'This kind of queue keeps nothing that is acknowledged, so there is nothing to go back to.'
    : null
  return (
    <ConfirmButton
      needs="operate"
      variant="default"
      refusal={refusal}
      question={`Rewind ${nameOf(line)}?`}
      consequence={
        <Stack gap="sm">
          <Text>
            {of === 'bridge'
              ? 'It reads again from there. What is stored already stays stored once: it counts as a duplicate.'
              : 'It sends again from there; a target that does not know event ids gets them twice.'}
          </Text>
          <SegmentedControl data={places.map((value) => ({ value, label: WORDS[value] ?? value }))} value={chosen} onChange={setTo} aria-label="Where to" />
          {chosen === 'time' && (
            <TextInput type="datetime-local" label="From this time on" description="In your time zone." value={at} onChange={(event) => { setAt(event.currentTarget.value) }} />
          )}
          {chosen === 'offset' && (
            <TextInput label="Offset" description="As the broker writes it: see the positions of its partitions." value={at} onChange={(event) => { setAt(event.currentTarget.value) }} />
          )}
        </Stack>
      }
      confirm="Rewind"
      onConfirm={async () => {
        if (chosen !== 'beginning' && at === '') throw new Problem(0, 'Say where to.', '')
        await rewind.mutateAsync()
      }}
    >
      Rewind
    </ConfirmButton>
  )
}
