import { Button, Group, Select, Skeleton, Text } from '@mantine/core'
import { useMemo } from 'react'

import { useGet } from '../../api/hooks'
import { Chart, type Series } from '../../parts/Chart'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { several } from '../../parts/numbers'
import { isBadQuery } from '../../parts/search/QueryError'
import { dayOf, Time } from '../../parts/Time'
import { ChooseSpan } from './ChooseSpan'
import { SPANS, spanOf } from './span'
import type { Histogram } from './types'

const HEIGHT = 120
const MOST_GROUPS = 3
const DAY_MS = 86_400_000
const MONTH_MS = 30 * DAY_MS

interface Props {
  q: string
  from: string
  to: string
  /** A field by whose values bars are told apart; empty: none. */
  by: string
  /** Time of the newest event that was found. */
  newest: string | undefined
  /** Not before anything was found. */
  enabled: boolean
  onSpan: (from: string, to: string) => void
  onBy: (field: string) => void
}

/** How many events there were when; a part of it is chosen with the mouse, or with the list beside it. */
export function OverTime({ q, from, to, by, newest, enabled, onSpan, onBy }: Props) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'
  const isAny = from === '' && to === ''
  // where what was found is: the past may have been imported
  const end = isAny && newest !== undefined && Date.now() - Date.parse(newest) > MONTH_MS ? Date.parse(newest) + DAY_MS : null
  const within = end === null ? { from: from || 'now-30d', to: to || 'now' } : { from: new Date(end - MONTH_MS).toISOString(), to: new Date(end).toISOString() }
  const asked = { q, ...within, zone, group_by: by }
  const found = useGet<Histogram>('/events/histogram', asked, { enabled })
  const { times, series, span, summary } = useMemo(() => drawn(found.data, by), [found.data, by])
  const isChosen = (from !== '' || to !== '') && !SPANS.some(({ value }) => value === from)
  return (
    <div>
      <Group justify="space-between" gap="xs" mb={4}>
        <Text size="sm" c="dimmed" component="div" role="status">
          {!enabled || isBadQuery(found.error) ? '–' : found.data === undefined ? 'Counting…' : several(found.data.total, 'event') + (!isAny ? '' : end === null ? ' in the last 30 days' : ` in the 30 days up to ${dayOf(newest)}`)}
          {found.data !== undefined && isChosen && (
            <>
              {' '}
              from <Time at={found.data.begin} /> to <Time at={found.data.end} />
            </>
          )}
          {found.isFetching && found.data !== undefined && ' · counting…'}
        </Text>
        <Group gap="xs">
          {isChosen && (
            <Button variant="default" onClick={() => { onSpan('', '') }}>
              Any time
            </Button>
          )}
          <Select
            size="xs"
            w={130}
            aria-label="Span of time"
            allowDeselect={false}
            value={isChosen ? 'chosen' : from}
            data={[{ value: '', label: 'Any time' }, ...SPANS, ...(isChosen ? [{ value: 'chosen', label: 'As chosen' }] : [])]}
            onChange={(value) => {
              if (value !== 'chosen') onSpan(value ?? '', '')
            }}
          />
          <ChooseSpan from={from} to={to} onSpan={onSpan} />
          <Select
            size="xs"
            w={130}
            aria-label="Tell apart by"
            allowDeselect={false}
            value={by}
            data={[
              { value: '', label: 'All together' },
              { value: 'type', label: 'By type' },
              { value: 'source.id', label: 'By source' },
            ]}
            onChange={(value) => { onBy(value ?? '') }}
          />
        </Group>
      </Group>
      {isBadQuery(found.error) ? null : <ErrorNotice error={found.error} retry={() => void found.refetch()} />}
      {found.data === undefined ? (
        <Skeleton height={HEIGHT + 24} animate={enabled && found.error === null} />
      ) : (
        <Chart
          label={`Events by ${found.data.interval}. Drag over a part to look at it alone.`}
          summary={summary}
          times={times}
          series={series}
          kind="bars"
          {...(span && { span })}
          height={HEIGHT}
          onSelect={(begin, end) => {
            const span = spanOf(begin, end)
            onSpan(span.from, span.to)
          }}
        />
      )}
    </div>
  )
}

interface Drawn {
  times: number[]
  series: Series[]
  span?: [number, number]
  summary: string
}

function drawn(found: Histogram | undefined, by: string): Drawn {
  if (found === undefined) return { times: [], series: [], summary: '' }
  const span: [number, number] = [Date.parse(found.begin) / 1_000, Date.parse(found.end) / 1_000]
  const times = found.items.map(({ time }) => Date.parse(time) / 1_000)
  const most = found.items.reduce((top, one) => (one.count > top.count ? one : top), { time: '', count: 0 })
  const summary = `${several(found.total, 'event')}${most.count ? `, most of them, ${most.count}, from ${most.time}` : ''}`
  if (by === '' || found.groups.length === 0) {
    return { times, span, series: [{ label: 'events', values: found.items.map((one) => one.count || null), color: 1 }], summary }
  }
  const groups = found.groups.slice(0, MOST_GROUPS)
  // stacked: the first is drawn last, in front, and each bar begins at nothing
  const above = groups.map((group, n) => ({
    label: String(group.value ?? 'no value'),
    values: found.items.map((one) => one.groups.slice(0, n + 1).reduce((sum, value) => sum + value, 0) || null),
    color: (n + 1) as 1 | 2 | 3,
  }))
  const all: Series = { label: 'all others', values: found.items.map((one) => one.count || null), color: 4 }
  const hasOthers = found.total > groups.reduce((sum, group) => sum + group.count, 0)
  return { times, span, series: [...(hasOthers ? [all] : []), ...above.reverse()], summary }
}
