/** Numbers as people read them. All of one language, English, as the rest of the console. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { maximumFractionDigits: 1, notation: 'compact' })

/** 69,659 */
export const count = (value: number): string => whole.format(value)

/** 69.7K; to be shown with the whole number as its title. */
export const compact = (value: number): string => short.format(value)

/** 0.4, 12, 1,204: rates, of which two figures say enough. */
export const rate = (value: number): string => (value === 0 || value >= 10 ? whole.format(value) : value.toFixed(1))

/** What stands behind a number: event of 1, else events. */
export const unitOf = (value: number, one: string, more = `${one}s`): string => (value === 1 ? one : more)

/** Events of a word: 1 event, 2 events. */
export const several = (value: number, one: string, more = `${one}s`): string =>
  `${whole.format(value)} ${unitOf(value, one, more)}`

/** 340 ms, 2.1 s, 4 min, 3 h, 12 d */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** 512 B, 1.2 kB, 3.4 MB */
export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let n = 0
  let value = size
  while (value >= 1_000 && n < units.length - 1) {
    value /= 1_000
    n += 1
  }
  return `${n === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[n]}`
}
