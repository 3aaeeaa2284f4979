import { Group, Text, Tooltip } from '@mantine/core'

export type Tone = 'good' | 'warn' | 'bad' | 'note' | 'idle'

/** How states of bridges, destinations, flows, heartbeats, runs and tasks look. Those that are not here are idle. */
const TONES: Record<string, Tone> = {
  running: 'good', active: 'good', ready: 'good', done: 'good', finished: 'good', succeeded: 'good', stored: 'good',
  connecting: 'note', starting: 'note', queued: 'note', started: 'note', waiting: 'note', pending: 'note',
  retrying: 'warn', late: 'warn', paused: 'idle', unassigned: 'warn', resting: 'warn', cancelled: 'idle', duplicate: 'idle',
  failed: 'bad', failing: 'bad', stopped: 'bad', error: 'bad', dead: 'bad', down: 'bad',
}

interface Props {
  state: string
  /** Instead of what the state says by itself. */
  tone?: Tone
  /** Why, in words. */
  hint?: string
}

/** A state as a coloured dot and its word: never by colour alone. */
export function StateBadge({ state, tone, hint }: Props) {
  const badge = (
    <Group
      gap={6}
      wrap="nowrap"
      w="fit-content"
      style={{ '--hub-tone': `var(--hub-${tone ?? TONES[state] ?? 'idle'})` }}
      {...(hint ? { tabIndex: 0 } : {})}
    >
      <span className="hub-dot" aria-hidden />
      <Text size="sm" style={{ whiteSpace: 'nowrap' }}>
        {state.replaceAll('_', ' ')}
      </Text>
    </Group>
  )
  return hint ? <Tooltip label={hint}>{badge}</Tooltip> : badge
}
