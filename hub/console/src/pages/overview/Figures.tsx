import { SimpleGrid, Stack, Text, Tooltip } from '@mantine/core'
import type { ReactNode } from 'react'

import { count, duration, rate, several } from '../../parts/numbers'
import type { Latency, Told } from './types'
import { upTo } from './words'

/** What moves: rates, lag, times. */
export function Figures({ told }: { told: Told }) {
  const { rates, lag, edge_rate: edge } = told
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} spacing="sm">
      <Figure
        label="Received"
        about="Of the last minute, by the minute of receipt, once a collector has seen them. At the doors: what the API processes have taken, bridges not among it."
        value={rates && rate(rates.received)}
        unit="events/s"
        more={edge === null ? 'at the doors: not known' : `${rate(edge)} events/s at the doors`}
      />
      <Figure
        label="Stored"
        about="Of the last minute: acknowledged by the store. Left out: duplicates, dropped by a rule, dead letters."
        value={rates && rate(rates.stored)}
        unit="events/s"
        more={rates === null ? '' : `${several(Math.round((rates.duplicate + rates.dropped + rates.dead) * 60), 'event')}/min left out`}
      />
      <Figure
        label="Lag"
        about="Records on Kafka that wait for a collector, and how long they take at the rate of the last minute."
        value={lag && count(lag.records)}
        unit={lag?.records === 1 ? 'record' : 'records'}
        more={lag === null ? '' : lag.seconds === null ? 'nothing moves' : lag.seconds === 0 ? 'nothing waits' : `${duration(lag.seconds)} behind`}
        bad={lag !== null && lag.records > 0 && lag.seconds === null}
      />
      <Times label="Edge to store" about="From receipt to the store's acknowledgement: upper bounds, of the last minute." latency={told.latency} most={60} />
      <Times label="/track" about="From the request to Kafka's acknowledgement: upper bounds, of the last minute." latency={told.edge_latency} most={10} />
    </SimpleGrid>
  )
}

function Times({ label, about, latency, most }: { label: string; about: string; latency: Latency | null; most: number }) {
  return (
    <Figure
      label={label}
      about={about}
      value={latency && upTo(latency.p50, most)}
      unit={latency?.p50 == null ? '' : 'p50'}
      more={
        latency === null
          ? ''
          : latency.p99 === null
            ? 'nothing in the last minute'
            : `${upTo(latency.p99, most)} p99 of ${several(latency.count, 'sample')}`
      }
    />
  )
}

interface Props {
  label: string
  about: string
  /** Null: not known. */
  value: ReactNode
  unit: string
  /** A second line, which is always there so that nothing jumps. */
  more: string
  bad?: boolean
}

function Figure({ label, about, value, unit, more, bad = false }: Props) {
  const isKnown = value !== null
  return (
    <Stack gap={0} className="hub-panel" style={{ paddingBlock: 8 }} role="group" aria-label={label}>
      <Tooltip label={about}>
        <Text
          size="sm"
          c="dimmed"
          tabIndex={0}
          w="fit-content"
          style={{ textDecoration: 'underline dotted', textUnderlineOffset: 3 }}
        >
          {label}
        </Text>
      </Tooltip>
      <Text component="div" className="hub-number" style={{ whiteSpace: 'nowrap' }} {...(bad ? { c: 'var(--hub-bad)' } : {})}>
        <Text span fz={22} fw={600} lh={1.3}>
          {isKnown ? value : '–'}
        </Text>{' '}
        <Text span size="sm" c="dimmed">
          {isKnown ? unit : 'not known'}
        </Text>
      </Text>
      <Text size="xs" c="dimmed" className="hub-number" style={{ minHeight: '1.35em' }}>
        {more}
      </Text>
    </Stack>
  )
}
