/** The one way to the hub. Same origin only; the session's cookie is sent by the browser, no script ever sees the key. */

export type Query = Record<string, string | number | boolean | null | undefined>

export interface Asked {
  query?: Query
  /** Sent as JSON. */
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
}

/** An answer that is an error (RFC 9457), or no answer at all: then `status` is 0. */
export class Problem extends Error {
  readonly status: number
  readonly title: string
  readonly reason: string
  /** Further members, such as `where`, `line`, `column`, `expected`, `limit`, `failed`. */
  readonly more: Record<string, unknown>

  constructor(status: number, title: string, detail: string, reason = '', more: Record<string, unknown> = {}) {
    super(detail || title)
    this.name = 'Problem'
    this.status = status
    this.title = title
    this.reason = reason
    this.more = more
  }
}

const listeners = new Set<() => void>()

/** Called when the hub does not know the session any longer. Returns what ends it. */
export function onSignedOut(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Of the hub, with parts of the path escaped: path`/bridges/${id}/pause`. */
export function path(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((made, part, n) => made + encodeURIComponent(String(values[n - 1])) + part)
}

export function url(to: string, query: Query = {}): string {
  const asked = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') asked.set(name, String(value))
  }
  return asked.size ? `${to}?${asked}` : to
}

/**
 * Ask, and give the answer as it comes, for those who read streams or bytes.
 *
 * Throws Problem for every answer that is none of 2xx.
 */
export async function ask(method: string, to: string, asked: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { 'Hub-Console': '1', ...asked.headers }
  const how: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store', redirect: 'error' }
  if (asked.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    how.body = JSON.stringify(asked.body)
  }
  if (asked.signal) how.signal = asked.signal
  let answer: Response
  try {
    answer = await fetch(url(to, asked.query), how)
  } catch (error) {
    if (asked.signal?.aborted) throw error
    throw new Problem(0, 'The hub does not answer.', 'It may be restarting, or the network is down.', 'no_answer')
  }
  if (answer.ok) return answer
  const problem = await problemOf(answer)
  if (problem.status === 401 && to !== '/console/session') for (const listener of listeners) listener()
  throw problem
}

async function problemOf(answer: Response): Promise<Problem> {
  const text = await answer.text()
  try {
    const { title, detail, reason, type: _type, status: _status, ...more } = JSON.parse(text) as Record<string, unknown>
    return new Problem(answer.status, String(title ?? ''), String(detail ?? ''), String(reason ?? ''), more)
  } catch {
    return new Problem(answer.status, `The hub answers ${answer.status}.`, text.slice(0, 300))
  }
}

async function json<T>(method: string, to: string, asked: Asked): Promise<T> {
  const answer = await ask(method, to, asked)
  const text = await answer.text()
  return (text ? JSON.parse(text) : null) as T
}

export const hub = {
  get: <T>(to: string, query: Query = {}, signal?: AbortSignal) => json<T>('GET', to, { query, signal }),
  post: <T>(to: string, body?: unknown, asked: Asked = {}) => json<T>('POST', to, { ...asked, body }),
  put: <T>(to: string, body?: unknown, asked: Asked = {}) => json<T>('PUT', to, { ...asked, body }),
  delete: <T>(to: string, asked: Asked = {}) => json<T>('DELETE', to, asked),
}
