import 'uplot/dist/uPlot.min.css'

import { Group, Text, useComputedColorScheme } from '@mantine/core'
import { useElementSize, useMergedRef } from '@mantine/hooks'
import { useEffect, useRef } from 'react'
import UPlot from 'uplot'

import { compact } from './numbers'

export interface Series {
  label: string
  values: (number | null)[]
  /** Of --hub-chart-1 to 4. */
  color: 1 | 2 | 3 | 4
}

interface Props {
  /** What the chart shows, with its unit: `Events a minute`. */
  label: string
  /** In words, for those who do not see it: the newest values, say. */
  summary: string
  /** Seconds since 1970, rising. */
  times: number[]
  series: Series[]
  /** Bars begin at their time: each is for what follows it. */
  kind?: 'line' | 'bars'
  /** From when to when, in seconds since 1970; else from the first to the last of `times`. */
  span?: [number, number]
  height?: number
  /** Called with seconds since 1970 when a span is chosen with the mouse. */
  onSelect?: (from: number, to: number) => void
}

/** Values over time. */
export function Chart({ label, summary, times, series, kind = 'line', span, height = 160, onSelect }: Props) {
  const { ref: measured, width } = useElementSize<HTMLDivElement>()
  const place = useRef<HTMLDivElement>(null)
  const ref = useMergedRef(measured, place)
  const scheme = useComputedColorScheme('light')
  const plot = useRef<UPlot | null>(null)
  const select = useRef(onSelect)
  select.current = onSelect
  const shape = series.map((one) => `${one.label}${one.color}`).join()
  const now = useRef({ times, series, span })
  now.current = { times, series, span }

  useEffect(() => {
    const at = place.current
    if (at === null || width === 0) return undefined
    const { times: xs, series: lines } = now.current
    const style = getComputedStyle(at)
    const color = (name: string) => style.getPropertyValue(name).trim()
    const axis = {
      stroke: color('--mantine-color-dimmed'),
      font: `11px ${style.fontFamily}`,
      grid: { stroke: color('--hub-line'), width: 1 },
      ticks: { show: false },
    }
    const made = new UPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: onSelect !== undefined, y: false } },
        scales: {
          x: { range: (_, least, most) => now.current.span ?? [least, most] },
          y: { range: (_, __, most) => [0, Math.max(1, most * 1.08)] },
        },
        axes: [
          { ...axis, size: 26, values: (_, ticks) => labels(ticks) },
          { ...axis, size: 44, incrs: WHOLE, values: (_, ticks) => ticks.map(compact) },
        ],
        series: [
          {},
          ...lines.map((one) => {
            const stroke = color(`--hub-chart-${one.color}`)
            return kind === 'bars'
              ? { label: one.label, stroke, fill: stroke, paths: UPlot.paths.bars!({ size: [0.8, 40], align: 1 }), points: { show: false } }
              : { label: one.label, stroke, width: 1.75, points: { show: false } }
          }),
        ],
        hooks: {
          setSelect: [
            (u) => {
              if (u.select.width > 2) {
                const { left, width: wide } = u.select
                u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
                select.current?.(u.posToVal(left, 'x'), u.posToVal(left + wide, 'x'))
              }
            },
          ],
        },
      },
      [xs, ...lines.map((one) => one.values)],
      at,
    )
    plot.current = made
    return () => {
      plot.current = null
      made.destroy()
    }
    // drawn anew only for another look; new values go into the plot below
  }, [width, height, scheme, shape, kind, onSelect === undefined])

  useEffect(() => {
    plot.current?.setData([times, ...series.map((one) => one.values)])
  }, [times, series, span])

  return (
    <figure style={{ margin: 0 }}>
      <figcaption>
        <Group gap="md" mb={4}>
          <Text size="sm" c="dimmed">
            {label}
          </Text>
          {series.length > 1 &&
            series.map((one) => (
              <Group key={one.label} gap={6} style={{ '--hub-tone': `var(--hub-chart-${one.color})` }}>
                <span className="hub-dot" aria-hidden />
                <Text size="sm">{one.label}</Text>
              </Group>
            ))}
        </Group>
      </figcaption>
      <div ref={ref} className="hub-chart" style={{ height }} role="img" aria-label={`${label}. ${summary}`} />
    </figure>
  )
}

/** How far lines may be apart that count things: there is no half of one. */
const WHOLE = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((first) => first * 10 ** power)).flat()
const DAY_S = 86_400
const months = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric' })
const days = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hour12: false })
const seconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

/** In the time zone of whoever looks. Args: ticks: seconds since 1970, as far apart as they are drawn. */
function labels(ticks: number[]): string[] {
  const apart = (ticks[1] ?? 0) - (ticks[0] ?? 0)
  const format = apart >= 28 * DAY_S ? months : apart >= DAY_S ? days : apart >= 60 ? clock : seconds
  return ticks.map((tick) => format.format(tick * 1_000))
}
