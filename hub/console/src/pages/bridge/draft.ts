import type { Settings } from '../../parts/SettingsForm'
import { suggested } from './mapping'
import type { Definition, Kind, Of } from './types'

/** How messages become events: `none`, `own`, or the name of a ready-made mapping. */
export type Way = string

/** A definition while it is being written. */
export interface Draft {
  of: Of
  id: string
  /** Version that is edited; null: there is none yet. */
  version: number | null
  type: string
  name: string
  source: string
  settings: Settings
  way: Way
  /** JSON of an own mapping. */
  mapping: string
  /** Of destinations: which events. */
  condition: string
  /** What else the definition says. */
  more: Record<string, unknown>
}

export const empty = (of: Of): Draft => ({
  of, id: '', version: null, type: '', name: '', source: '', settings: {}, way: 'none', mapping: '', condition: '', more: {},
})

export function draftOf(of: Of, { id, version, spec }: Definition): Draft {
  const { type, name, source = '', settings, mapping, condition, ...more } = spec
  return {
    of, id, version, type, name, source, settings, more,
    way: mapping === null ? 'none' : of === 'bridge' && typeof mapping === 'string' ? mapping : 'own',
    mapping: mapping === null ? '' : JSON.stringify(mapping, null, 2),
    condition: String(condition ?? ''),
  }
}

/** Settings that an address names, such as ?type=kafka&topics=orders, where the kind has such. */
export function prefilled(kind: Kind | undefined, search: URLSearchParams): Settings {
  const found: Settings = {}
  for (const [name, schema] of Object.entries(kind?.settings?.properties ?? {})) {
    const given = search.get(name)
    if (given === null || given === '' || schema.format === 'password') continue
    if (schema.type === 'array') found[name] = given.split(',')
    else if (schema.type === 'string' || schema.anyOf !== undefined) found[name] = given
  }
  return found
}

/** With a mapping that fits the first message, unless there is one. */
export function withSuggestion(draft: Draft, body: string | undefined): Draft {
  if (draft.version !== null || draft.mapping !== '' || draft.way !== 'none' || body === undefined) return draft
  const mapping = suggested(body)
  return mapping === null ? draft : { ...draft, way: 'own', mapping: JSON.stringify(mapping, null, 2) }
}

/** The mapping as the hub takes it. Throws SyntaxError: it is no JSON. */
export function mappingOf({ way, mapping }: Draft): unknown {
  if (way === 'none') return null
  return way === 'own' ? (JSON.parse(mapping) as unknown) : way
}

/** What is to be saved. Throws SyntaxError. */
export function specOf(draft: Draft, enabled: boolean): Record<string, unknown> {
  const { of, type, name, source, settings, condition, more } = draft
  return { ...more, type, name, settings, enabled, mapping: mappingOf(draft), ...(of === 'bridge' ? { source } : { condition }) }
}
