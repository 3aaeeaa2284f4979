import { SegmentedControl, Text } from '@mantine/core'
import { useMemo, useState } from 'react'

import { path } from '../../api/client'
import { useGet } from '../../api/hooks'
import { Chart } from '../../parts/Chart'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'

const SPANS = { 'now-1d': 'Day', 'now-7d': 'Week', 'now-30d': 'Month', 'now-365d': 'Year' }

/** How many were in it at the beginning of each hour, and are now. */
export function Sizes({ segment, size }: { segment: string; size: number }) {
  const [from, setFrom] = useState('now-7d')
  const kept = useGet<{ items: { time: string; members: number }[] }>(path`/segments/${segment}/sizes`, { from })
  const [times, members] = useMemo(() => {
    const items = kept.data?.items ?? []
    return [
      [...items.map(({ time }) => Date.parse(time) / 1_000), Date.now() / 1_000],
      [...items.map((item) => item.members), size],
    ]
  }, [kept.data, size])
  return (
    <Panel
      title="Size"
      aside={
        <SegmentedControl
          aria-label="Span of time"
          size="xs"
          value={from}
          onChange={setFrom}
          data={Object.entries(SPANS).map(([value, label]) => ({ value, label }))}
        />
      }
    >
      <ErrorNotice error={kept.error} />
      {times.length < 2 ? (
        <Text c="dimmed">The size is kept at the beginning of each hour, for a year. The first one is still to come.</Text>
      ) : (
        <Chart label="Profiles in it" summary={`${count(size)} now.`} times={times} series={[{ label: 'profiles', values: members, color: 1 }]} />
      )}
    </Panel>
  )
}
