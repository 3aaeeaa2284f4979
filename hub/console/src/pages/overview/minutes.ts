import type { Balance } from '../../api/types'

/** Rows of the balance sheet, all sources together, as one value for each of the last minutes; the newest is last. */
export function perMinute(rows: Balance['rows'], minutes: number, now = Date.now()) {
  const last = Math.floor(now / 60_000)
  const first = last - minutes + 1
  const empty = () => new Array<number>(minutes).fill(0)
  const found = { times: empty().map((_, n) => (first + n) * 60), stored: empty(), left: empty(), dead: empty() }
  for (const row of rows) {
    const n = Math.floor(Date.parse(row.minute) / 60_000) - first
    if (!(n >= 0 && n < minutes)) continue
    found.stored[n]! += row.stored
    found.left[n]! += row.duplicate + row.dropped
    found.dead[n]! += row.dead
  }
  return found
}
