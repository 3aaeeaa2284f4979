import { Button, Select, Stack, Text } from '@mantine/core'
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react'
import { useEffect, useState } from 'react'

import { Chart } from '../../parts/Chart'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count, rate as perSecond } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { QueryInput } from '../../parts/QueryInput'
import { isBadQuery } from '../../parts/search/QueryError'
import { useAddress } from '../../parts/search/useAddress'
import { StateBadge } from '../../parts/StateBadge'
import { Opened } from './Opened'
import { Rows } from './Rows'
import { Sample } from './Sample'
import type { TailState, Told } from './types'
import { MOST_SECONDS, useTail } from './useTail'

const RATES = ['10', '50', '200']
const TONES = { connecting: 'note', live: 'good', waiting: 'warn', ended: 'idle', failed: 'bad' } as const

/** What comes in now. */
export default function Live() {
  const address = useAddress()
  const q = address.get('q')
  const most = RATES.includes(address.get('rate')) ? address.get('rate') : '50'
  const [isPaused, setIsPaused] = useState(false)
  const [opened, setOpened] = useState<Told | null>(null)
  const { rows, seconds, state, error, waiting, clear, again } = useTail(q, Number(most), isPaused)
  const newest = seconds.at(-1)

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { target } = event
      const isTaken = target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
      if (event.key === 'p' && !isTaken && !event.ctrlKey && !event.metaKey && !event.altKey) setIsPaused((before) => !before)
    }
    addEventListener('keydown', onKey)
    return () => {
      removeEventListener('keydown', onKey)
    }
  }, [])

  return (
    <>
      <PageHeader
        title="Live"
        about="Events as they are stored."
        badge={<StateBadge state={isPaused ? 'paused' : state.state} tone={isPaused ? 'note' : TONES[state.state]} />}
      >
        <Select
          size="xs"
          w={172}
          aria-label="Most that are shown"
          allowDeselect={false}
          value={most}
          data={RATES.map((value) => ({ value, label: `At most ${value} a second` }))}
          onChange={(value) => {
            address.set({ rate: value ?? '' }, { replace: true })
          }}
        />
        <Button variant="default" onClick={clear}>
          Clear
        </Button>
        <Button
          aria-keyshortcuts="p"
          title="Key: p"
          leftSection={isPaused ? <IconPlayerPlay size={14} aria-hidden /> : <IconPlayerPause size={14} aria-hidden />}
          onClick={() => {
            setIsPaused(!isPaused)
          }}
        >
          {isPaused ? 'Go on' : 'Pause'}
        </Button>
      </PageHeader>
      <Stack gap="md">
        <QueryInput
          kind="events"
          value={q}
          error={error}
          placeholder='Only events such as type = "purchase"'
          onChange={(next) => {
            address.set({ q: next })
          }}
        />
        {!isBadQuery(error) && <ErrorNotice error={error} retry={again} />}
        <Notice state={state} />
        <Panel title="Last minute" aside={<Sample second={newest} isFiltered={q !== ''} />}>
          <Chart
            label="Events a second"
            summary={`In the last second ${perSecond(newest?.stored ?? 0)} were stored.`}
            times={seconds.map(({ at }) => at)}
            series={[
              { label: 'stored', values: seconds.map((one) => one.stored / one.seconds), color: 1 },
              { label: 'shown', values: seconds.map((one) => one.shown / one.seconds), color: 2 },
            ]}
            {...(newest !== undefined && { span: [newest.at - MOST_SECONDS + 1, newest.at] })}
            height={90}
          />
        </Panel>
        <Panel
          title="Events"
          aside={
            <Text size="sm" c="dimmed">
              {isPaused && waiting > 0 ? `${count(waiting)} have come meanwhile` : rows.length > 0 ? `the newest ${count(rows.length)}` : ''}
            </Text>
          }
        >
          {rows.length > 0 ? (
            <Rows rows={rows} onOpen={setOpened} />
          ) : (
            <EmptyState title={q === '' ? 'Nothing comes in just now' : 'Nothing that matches comes in just now'} action={{ label: 'Send an event', to: '/start' }}>
              What is stored from now on is shown here. What came before is on the page Events.
            </EmptyState>
          )}
        </Panel>
      </Stack>
      <Opened
        one={opened}
        onClose={() => {
          setOpened(null)
        }}
      />
    </>
  )
}

function Notice({ state }: { state: TailState }) {
  if (state.detail === '') return null
  return (
    <Text role="status" c="var(--hub-warn)">
      {state.state === 'waiting' ? 'Waiting: ' : ''}
      {state.detail}
    </Text>
  )
}
