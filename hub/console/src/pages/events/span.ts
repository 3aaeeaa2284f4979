/** Spans of time as the address of the page has them. */
export const SPANS = [
  { value: 'now-1h', label: 'Last hour' },
  { value: 'now-1d', label: 'Last day' },
  { value: 'now-7d', label: 'Last 7 days' },
  { value: 'now-30d', label: 'Last 30 days' },
  { value: 'now-1y', label: 'Last year' },
] as const

/** Two times as one of ISO, from seconds since 1970, widened to whole seconds. */
export const spanOf = (from: number, to: number): { from: string; to: string } => ({
  from: new Date(Math.floor(from) * 1_000).toISOString(),
  to: new Date(Math.ceil(to) * 1_000).toISOString(),
})
