import type { ProfileDocument } from '../profiles/types'

export interface Came {
  at: string
  event: string
}

/** When and by which event a field of a profile came, or the object that it is in. */
export function cameWith({ metadata }: ProfileDocument, field: string): Came | undefined {
  for (let name = field; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
    const found = metadata.fields[name]
    if (found) return { at: found[0], event: found[1] }
  }
  return undefined
}

export interface Leaf {
  field: string
  value: unknown
}

/** Fields of an object that hold no object themselves, by their dotted names. */
export function leaves(value: unknown, name: string): Leaf[] {
  if (value === null || value === undefined) return []
  if (typeof value !== 'object' || Array.isArray(value)) return [{ field: name, value }]
  return Object.entries(value).flatMap(([key, inside]) => leaves(inside, name === '' ? key : `${name}.${key}`))
}
