import { Stack, Text } from '@mantine/core'

import { hub, path, Problem } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Panel } from '../../parts/Panel'
import { Result } from './Result'
import { type Made, sampleOf, type Tested } from './mapping'
import { type Rehearsed, Sent } from './Sent'
import type { Of } from './types'

interface Answer {
  ok?: boolean
  error?: { cause: string; mend: string }
  messages: unknown[]
}

interface Props {
  of: Of
  id: string
  kind: string
  /** Of a destination. */
  condition: string
}

/** Some messages that wait, and what becomes of each, without taking any. */
export function Trial({ of, id, kind, condition }: Props) {
  const test = useChange(() => hub.post<Answer>(path`/${of}s/${id}/test`, of === 'bridge' ? { messages: 5 } : { q: condition }))
  const failed = test.data?.error
  return (
    <Panel
      title={of === 'bridge' ? 'Messages that wait' : 'What it would send'}
      aside={
        <ActionButton
          needs="admin"
          variant="default"
          loading={test.isPending}
          refusal={kind === 'webhook' ? 'Its messages are sent to the hub: none wait anywhere.' : null}
          onClick={() => { test.mutate() }}
        >
          Look
        </ActionButton>
      }
    >
      <Stack gap="sm" aria-live="polite">
        <ErrorNotice error={failed ? new Problem(422, failed.cause, failed.mend) : test.error} />
        {test.data === undefined && test.error === null && (
          <Text c="dimmed">{of === 'bridge' ? 'Look at some messages without taking them, and at what becomes of each.' : 'Look at what it would send of the newest stored events. Nothing is sent.'}</Text>
        )}
        {test.data?.messages.length === 0 && !failed && <Text>{of === 'bridge' ? 'No message waits now.' : 'No stored event matches.'}</Text>}
        {test.data?.messages.map((message, n) =>
          of === 'bridge' ? (
            <Result key={n} sample={sampleOf(message as Tested)} made={message as Made} />
          ) : (
            <Sent key={n} message={message as Rehearsed} />
          ),
        )}
      </Stack>
    </Panel>
  )
}
