import { Group, Progress, Stack, Text } from '@mantine/core'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { StateBadge } from '../../parts/StateBadge'
import { TimeAgo } from '../../parts/Time'
import type { SegmentState } from './types'

/** How far the look at all profiles is that a new or changed condition asks for. */
export function Filling({ segment }: { segment: SegmentState }) {
  const again = useChange(() => hub.post(path`/segments/${segment.id}/backfill`), ['/segments'])
  if (segment.condition === null) return null
  const { backfill } = segment
  const part = backfill?.of ? Math.min(100, (100 * backfill.looked) / backfill.of) : 0
  return (
    <Panel
      title="Back-fill"
      aside={
        <ActionButton
          needs="operate"
          variant="default"
          loading={again.isPending}
          onClick={() => { again.mutate() }}
          refusal={segment.enabled ? null : 'It is switched off: nobody enters or leaves.'}
        >
          Fill again
        </ActionButton>
      }
    >
      <ErrorNotice error={again.error} />
      {backfill === null ? (
        <Text c="dimmed">How far it is, is not known: Redis is away, or not set for the API.</Text>
      ) : (
        <Stack gap="xs">
          <Group gap="sm">
            <StateBadge state={backfill.state} {...(backfill.error !== '' ? { hint: backfill.error } : {})} />
            <Text c="dimmed">
              {backfill.of === null
                ? 'All profiles are looked at in the background; events flow on meanwhile.'
                : `${count(backfill.looked)} of ${count(backfill.of)} profiles looked at, ${count(backfill.asked)} to be judged anew.`}{' '}
              {backfill.ended_at !== null && (
                <>
                  Ended <TimeAgo at={backfill.ended_at} />.
                </>
              )}
            </Text>
          </Group>
          {backfill.of !== null && backfill.state === 'running' && (
            <Progress value={part} aria-label={`Back-fill: ${Math.round(part)} %`} />
          )}
          {backfill.error !== '' && <Text c="var(--hub-bad)">{backfill.error}</Text>}
        </Stack>
      )}
    </Panel>
  )
}
