import { Group, Stack, Switch, Text, Textarea } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import type { EditorProblem } from '../../parts/JsonEditor'
import { Json } from '../../parts/Json'
import { StateBadge } from '../../parts/StateBadge'
import { BRIDGES, isUsable, MappingChoice, mappingOf } from './MappingChoice'
import { Outcome } from './Outcome'
import { isMessage, type Letter, type Replayed } from './types'

interface Tried {
  findings: { level: 'error' | 'warning'; path: (string | number)[]; detail: string }[]
  messages: { payload?: unknown; dropped?: boolean; refused?: { reason: string; detail: string } }[]
}

/** Send one letter again: as it is, edited, or through another mapping; what would become of it is shown before. */
export function Repair({ letter }: { letter: Letter }) {
  const [isEdited, setEdited] = useState(false)
  const [body, setBody] = useState(letter.body ?? '')
  const [choice, setChoice] = useState(BRIDGES)
  // what the letter was when it was sent, to see what has become of it
  const [before, setBefore] = useState<number | null>(null)
  const canRepair = isMessage(letter)
  const canEdit = canRepair && letter.body !== null && !letter.body_truncated
  const replay = useChange(
    () => hub.post<Replayed>(path`/dead-letters/${letter.id}/replay`, { ...(isEdited ? { body } : {}), mapping: mappingOf(choice) ?? null }),
    ['/dead-letters', '/balance'],
  )
  const tried = useTried(letter, canEdit && choice.way !== '' ? { body: isEdited ? body : (letter.body ?? ''), choice } : null)
  const problems = useMemo<EditorProblem[]>(
    () => (tried.data?.findings ?? []).map(({ path: at, detail, level }) => ({ path: at, message: detail, level })),
    [tried.data],
  )
  const made = tried.data?.messages[0]
  return (
    <Stack gap="sm">
      {!canRepair && (
        <Text c="dimmed">
          {letter.stage === 'destination'
            ? 'A message of a destination or a flow is sent as it is: it can be neither edited nor mapped.'
            : 'Its original is a record of the hub’s own: it goes back as it is, and can be neither edited nor mapped.'}
        </Text>
      )}
      {canRepair && (
        <>
          <Switch
            label="Edit it before"
            description={canEdit ? 'The original stays as it is.' : 'Only a text that is here as a whole can be edited in the console.'}
            checked={isEdited}
            disabled={!canEdit}
            onChange={(event) => { setEdited(event.currentTarget.checked) }}
          />
          {isEdited && (
            <Textarea
              label="Edited message"
              autosize
              minRows={4}
              maxRows={18}
              spellCheck={false}
              styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
              value={body}
              onChange={(event) => { setBody(event.currentTarget.value) }}
            />
          )}
          <MappingChoice value={choice} onChange={setChoice} problems={problems} />
          {choice.way !== '' && canEdit && (
            <div aria-live="polite">
              {tried.data?.findings.map(({ detail, level }) => (
                <Text key={detail} size="sm" c={level === 'error' ? 'var(--hub-bad)' : 'var(--hub-warn)'}>
                  {level}: {detail}
                </Text>
              ))}
              {made?.refused !== undefined && <StateBadge state={`it would be refused again: ${made.refused.detail}`} tone="bad" />}
              {made?.refused === undefined && made?.dropped && <StateBadge state="no event would be made of it" tone="idle" />}
              {made?.refused === undefined && made?.payload !== undefined && <Json value={made.payload} label="What would become of it" most={240} />}
              <ErrorNotice error={tried.error} />
            </div>
          )}
        </>
      )}
      <ErrorNotice error={replay.error} />
      {replay.data !== undefined && <Outcome replayed={replay.data} />}
      <div role="status">
        {before !== null && replay.isSuccess && letter.status === 'resolved' && <StateBadge state="resolved: all of it is stored" tone="good" />}
        {before !== null && replay.isSuccess && letter.status === 'open' && letter.attempts > before && (
          <StateBadge state={`it failed again, now with: ${letter.detail}`} tone="bad" />
        )}
      </div>
      <Group justify="flex-end">
        <ActionButton
          needs="operate"
          loading={replay.isPending}
          refusal={isUsable(choice) ? null : 'The mapping is no JSON yet.'}
          onClick={() => {
            setBefore(letter.attempts)
            replay.mutate()
          }}
        >
          {letter.status === 'resolved' ? 'Send it once more' : 'Send it again'}
        </ActionButton>
      </Group>
    </Stack>
  )
}

function useTried(letter: Letter, what: { body: string; choice: typeof BRIDGES } | null) {
  const [wanted] = useDebouncedValue(
    useMemo(() => {
      if (what === null || !isUsable(what.choice)) return null
      const meta = { ...letter.meta, key: letter.key, headers: letter.headers, timestamp: letter.time_ms }
      return { mapping: mappingOf(what.choice) ?? null, source: letter.source, messages: [{ body: what.body, meta }] }
    }, [what?.body, what?.choice.way, what?.choice.text]),
    350,
  )
  return useQuery<Tried>({
    queryKey: ['/mappings/try', wanted],
    queryFn: ({ signal }) => hub.post<Tried>('/mappings/try', wanted, { signal }),
    enabled: wanted !== null,
  })
}
