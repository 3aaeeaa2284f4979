import { Problem } from '../../api/client'
import type { EditorProblem } from '../../parts/JsonEditor'

/** One of GET /definitions/{kind} */
export interface Entry {
  kind: string
  id: string
  version: number
  updated_at_ms: number
  spec: Record<string, unknown>
  built_in?: boolean
  warnings?: { [more: string]: unknown }[]
}

/** At which fields of the JSON the hub found what. */
export function problemsOf(error: unknown): EditorProblem[] {
  if (!(error instanceof Problem) || error.status !== 422) return []
  const where = error.more['where']
  if (typeof where === 'string' && where !== '') return [{ path: parts(where), message: error.message }]
  // `settings.url: …; mapping.event.type: …`
  return error.message.split(/; (?=[a-z_.[\]0-9]+: )/).flatMap((said) => {
    const match = /^([a-z_][\w.[\]-]*): (.+)$/s.exec(said)
    return match ? [{ path: parts(match[1]!), message: match[2]! }] : []
  })
}

const parts = (where: string): (string | number)[] =>
  where
    .replaceAll(/\[(\d+)\]/g, '.$1')
    .split('.')
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
