import { useRef } from 'react'

/** How fast a total grows, by the second, from two of its readings. Null until there are two. Args: at: ms, of the reading. */
export function useRate(total: number | undefined, at: number): number | null {
  const seen = useRef<{ total: number; at: number; rate: number | null } | null>(null)
  const before = seen.current
  if (total === undefined) return null
  if (before === null) seen.current = { total, at, rate: null }
  else if (at > before.at) {
    // what is in flight is counted as records, so the total may go down by a little
    seen.current = { total, at, rate: Math.max(0, ((total - before.total) * 1_000) / (at - before.at)) }
  }
  return seen.current?.rate ?? null
}
