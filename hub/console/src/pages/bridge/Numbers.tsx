import { Anchor, SimpleGrid } from '@mantine/core'
import { Link } from 'wouter'

import { url } from '../../api/client'
import { compact, count, rate, unitOf } from '../../parts/numbers'
import { Stat } from '../../parts/Stat'
import { TimeAgo } from '../../parts/Time'
import type { Line, Of } from './types'

/** What flows through it. */
export function Numbers({ line, of }: { line: Line; of: Of }) {
  const unit = (value: number) => unitOf(value, of === 'bridge' ? 'message' : 'event')
  const taken = Number(line[of === 'bridge' ? 'received' : 'read'] ?? 0)
  const done = Number(line[of === 'bridge' ? 'forwarded' : 'sent'] ?? 0)
  const last = (line['last_message_at'] ?? line['last_event_at'] ?? null) as string | null
  const since = line.started_at === null ? 'Since it began.' : 'Since this version began in its process.'
  return (
    <SimpleGrid cols={{ base: 2, sm: 4, xl: 7 }} spacing="sm">
      <Stat label="Waiting" value={line.lag === null ? 'not told' : count(line.lag)} unit={line.lag === null ? '' : unit(line.lag)} about={of === 'bridge' ? 'Still in the queue, as of the last look. Not every broker tells.' : 'Stored, and not sent yet.'} />
      <Stat label="Rate" value={rate(line.rate)} unit={`${unit(line.rate)}/s`} about="Over the last 10 s." />
      <Stat label={of === 'bridge' ? 'Received' : 'Read'} value={<span title={count(taken)}>{compact(taken)}</span>} unit={unit(taken)} about={since} />
      <Stat label={of === 'bridge' ? 'Forwarded' : 'Sent'} value={<span title={count(done)}>{compact(done)}</span>} unit={unit(done)} about={of === 'bridge' ? 'Kafka has them, and the broker was told so.' : 'The target has taken them.'} />
      <Stat
        label="Refused"
        value={
          line.refused === 0 ? 0 : (
            <Anchor component={Link} href={url('/dead-letters', of === 'bridge' ? { source: line.source } : { stage: 'destination' })} inherit>
              {compact(line.refused)}
            </Anchor>
          )
        }
        unit={unit(line.refused)}
        about="They are dead letters: kept, with the reason, and can be sent again."
        {...(line.refused > 0 ? { tone: 'warn' as const } : {})}
      />
      <Stat label="In flight" value={count(line.in_flight)} unit={unit(line.in_flight)} about="Taken, and not acknowledged yet." />
      <Stat label="Last one" value={<TimeAgo at={last} />} />
    </SimpleGrid>
  )
}
