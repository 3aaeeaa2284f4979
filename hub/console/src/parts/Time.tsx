import { useInterval } from '@mantine/hooks'
import { useState } from 'react'

import { duration } from './numbers'

const whole = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric', month: 'short', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false,
})

const day = new Intl.DateTimeFormat('en-GB', { year: 'numeric', month: 'short', day: '2-digit' })
/** Beyond, a day is easier to read than how many ago it was. */
const LONG_S = 90 * 86_400

type At = string | number | Date | null | undefined

/** In the time zone of whoever looks; the exact one, in UTC, as its title. */
export function Time({ at }: { at: At }) {
  const date = dateOf(at)
  if (date === null) return <span>–</span>
  return (
    <time dateTime={date.toISOString()} title={date.toISOString()} style={{ whiteSpace: 'nowrap' }}>
      {whole.format(date)}
    </time>
  )
}

/** 12 s ago; goes on by itself. Of long ago, the day. */
export function TimeAgo({ at }: { at: At }) {
  const [now, setNow] = useState(() => Date.now())
  useInterval(() => { setNow(Date.now()) }, 5_000, { autoInvoke: true })
  const date = dateOf(at)
  if (date === null) return <span>–</span>
  const seconds = (now - date.getTime()) / 1_000
  return (
    <time dateTime={date.toISOString()} title={whole.format(date)} style={{ whiteSpace: 'nowrap' }}>
      {Math.abs(seconds) < 2 ? 'just now' : Math.abs(seconds) > LONG_S ? dayOf(date) : seconds > 0 ? `${about(seconds)} ago` : `in ${about(-seconds)}`}
    </time>
  )
}

/** Whole seconds: what is looked at every 5 s has no tenths. */
const about = (seconds: number): string => (seconds < 10 ? `${Math.round(seconds)} s` : duration(seconds))

/** 29 Jun 1998 */
export function dayOf(at: At): string {
  const date = dateOf(at)
  return date === null ? '–' : day.format(date)
}

function dateOf(at: At): Date | null {
  if (at === null || at === undefined || at === '') return null
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? null : date
}
