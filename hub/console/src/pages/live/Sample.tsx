import { Text } from '@mantine/core'

import { rate, several } from '../../parts/numbers'
import type { Second } from './useTail'

/** How many were stored in the last second, and how many of these are shown. */
export function Sample({ second, isFiltered }: { second: Second | undefined; isFiltered: boolean }) {
  if (second === undefined) return <Text c="dimmed">Listening…</Text>
  const { seconds, stored, looked_at: looked, matched, shown, lost, withheld } = second
  const isSampled = shown < matched || looked < stored
  const parts = [
    `${rate(stored / seconds)} events/s stored`,
    isFiltered ? `${rate(matched / seconds)} match${looked < stored ? ` of the ${rate(looked / seconds)} that were looked at` : ''}` : '',
    isSampled ? `${rate(shown / seconds)} are shown: a sample` : 'all are shown',
    lost > 0 ? `${several(lost, 'event')} too many for this browser` : '',
    withheld > 0 ? `${withheld} withheld` : '',
  ]
  return (
    <Text className="hub-number" data-sampled={isSampled}>
      {parts.filter(Boolean).join(' · ')}
    </Text>
  )
}
