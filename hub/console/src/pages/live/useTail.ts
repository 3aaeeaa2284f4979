import { useCallback, useEffect, useRef, useState } from 'react'

import { ask, Problem } from '../../api/client'
import { messages } from './stream'
import type { Summary, TailState, Told } from './types'

/** Rows that are kept, and drawn. */
export const MOST_ROWS = 200
/** Seconds that the chart shows. */
export const MOST_SECONDS = 60
const DRAW_EVERY_MS = 250
const AGAIN_MS = 2_000

export interface Second extends Summary {
  /** Seconds since 1970. */
  at: number
}

interface Shown {
  rows: Told[]
  seconds: Second[]
  state: TailState
  error: unknown
  /** Came while nothing was drawn. */
  waiting: number
}

const NOTHING: Shown = { rows: [], seconds: [], state: { state: 'connecting', detail: '' }, error: null, waiting: 0 }

/**
 * What is stored, live. What comes is kept in a bounded list, and drawn at most four times a second, however much it is.
 *
 * Args: rate: most that the hub shows in a second; it samples. isPaused: what has been drawn stays.
 */
export function useTail(q: string, rate: number, isPaused: boolean) {
  const [shown, setShown] = useState<Shown>(NOTHING)
  const [attempt, setAttempt] = useState(0)
  const now = useRef<Shown & { isNew: boolean }>({ ...NOTHING, isNew: false })
  const paused = useRef(isPaused)
  paused.current = isPaused

  useEffect(() => {
    const ended = new AbortController()
    let timer = 0
    now.current = { ...NOTHING, isNew: true }
    const note = (change: Partial<Shown>) => {
      now.current = { ...now.current, ...change, isNew: true }
    }
    const listen = async () => {
      try {
        const answer = await ask('GET', '/tail', { query: { q, rate }, headers: { Accept: 'text/event-stream' }, signal: ended.signal })
        note({ error: null })
        if (answer.body === null) throw new Problem(0, 'The hub sends nothing.', 'The answer has no body.')
        for await (const { event, data } of messages(answer.body)) take(event, JSON.parse(data))
        note({ state: { state: 'ended', detail: 'The hub has ended the tail; it is asked for again.' } })
      } catch (error) {
        if (ended.signal.aborted) return
        note({ error, state: { state: 'failed', detail: '' } })
        // what is wrong with the question stays wrong
        if (error instanceof Problem && error.status >= 400 && error.status < 500) return
      }
      if (!ended.signal.aborted) timer = window.setTimeout(() => void listen(), AGAIN_MS)
    }
    const take = (event: string, data: unknown) => {
      const { rows, seconds, waiting } = now.current
      if (event === 'state') note({ state: data as TailState })
      else if (event === 'summary') note({ seconds: [...seconds, { ...(data as Summary), at: Date.now() / 1_000 }].slice(-MOST_SECONDS) })
      else {
        rows.unshift(data as Told)
        if (rows.length > MOST_ROWS) rows.length = MOST_ROWS
        note({ waiting: paused.current ? waiting + 1 : 0 })
      }
    }
    void listen()
    const draw = window.setInterval(() => {
      if (!now.current.isNew) return
      now.current.isNew = false
      const { rows, ...rest } = now.current
      setShown((before) => ({ ...rest, rows: paused.current ? before.rows : [...rows] }))
    }, DRAW_EVERY_MS)
    return () => {
      ended.abort()
      clearTimeout(timer)
      clearInterval(draw)
    }
  }, [q, rate, attempt])

  useEffect(() => {
    // drawn at once when it goes on
    now.current = { ...now.current, waiting: 0, isNew: true }
  }, [isPaused])

  const clear = useCallback(() => {
    now.current = { ...now.current, rows: [], waiting: 0, isNew: true }
    setShown((before) => ({ ...before, rows: [], waiting: 0 }))
  }, [])
  const again = useCallback(() => {
    setAttempt((n) => n + 1)
  }, [])
  return { ...shown, clear, again }
}
