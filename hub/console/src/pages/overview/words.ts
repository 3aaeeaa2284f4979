import type { Tone } from '../../parts/StateBadge'
import { duration } from '../../parts/numbers'
import type { Kind, Told } from './types'

/** What `missing` of /overview names, as this page calls it. */
export const PARTS: Record<string, string> = {
  totals: 'Balance sheet and rates',
  lag: 'Lag, and whether the balance adds up',
  processes: 'Processes and latencies',
  bridges: 'Bridges',
  destinations: 'Destinations',
  tasks: 'Tasks',
  dead_letters: 'Dead letters',
}

interface Needed {
  kind: string
  /** What does not happen while none is alive. */
  without: string
  start: string
  tone: Tone
}

/** What `hub up` starts, and a hub is not whole without. */
const NEEDED: Needed[] = [
  { kind: 'collector', without: 'Events are taken, and wait on Kafka; nothing is stored.', start: 'hub collector', tone: 'bad' },
  { kind: 'api', without: 'No API process tells that it lives.', start: 'hub api', tone: 'bad' },
  { kind: 'bridges', without: 'No queue is read, and no destination is sent to.', start: 'hub bridges', tone: 'warn' },
  { kind: 'agents', without: 'Heartbeats, and segments that change with time alone, stand still.', start: 'hub agents', tone: 'warn' },
  { kind: 'worker segmentation:live', without: 'Tasks wait, and new segments are not counted.', start: 'hub worker', tone: 'warn' },
]

/** Kinds of which none is alive, the worst first. */
export function away(kinds: Kind[] | null): Needed[] {
  if (kinds === null) return []
  const alive = new Set(kinds.filter((one) => one.alive > 0).map((one) => one.kind))
  return NEEDED.filter(({ kind }) => !alive.has(kind))
}

/** How it is, in three words, beside the page's title. */
export function verdict(told: Told): { state: string; tone: Tone } {
  if (told.balanced === false) return { state: 'does not add up', tone: 'bad' }
  const gone = away(told.kinds)
  if (gone.some(({ tone }) => tone === 'bad')) return { state: 'not all is running', tone: 'bad' }
  if (told.balanced === null) return { state: 'balance not known', tone: 'warn' }
  if (gone.length > 0) return { state: 'not all is running', tone: 'warn' }
  return { state: 'all accounted for', tone: 'good' }
}

const BEYOND_S = 1e9

/** Of a histogram. Args: most: the upper bound of its largest bucket, in seconds. */
export function upTo(seconds: number | null, most: number): string {
  if (seconds === null) return '–'
  return seconds >= BEYOND_S ? `over ${duration(most)}` : duration(seconds)
}
