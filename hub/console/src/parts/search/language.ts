/** What of the query language (docs/query.md) the console has to know: where the caret is, and how to write names and values. */

export type Part = 'field' | 'operator' | 'value' | 'connective'

export interface Place {
  /** What may stand at the caret. */
  part: Part
  /** Of `value`: the field that it is compared with, and how. */
  field: string
  operator: string
  /** What is typed of it, without quotes. */
  typed: string
  /** Where that begins. */
  from: number
}

const TOKEN = /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`[^`]*`?|[()[\],]|[=<>!~]+|[^\s"'`()[\],=<>!~]+/g
const WORDS = new Set([
  'in', 'not', 'is', 'between', 'contains', 'starts', 'ends', 'with', 'matches', 'exists', 'empty', 'null', 'like',
])

/** Where in a query the caret is. */
export function placeOf(text: string, caret: number): Place {
  const before = text.slice(0, caret)
  let part: Part = 'field'
  let field = ''
  let operator = ''
  let inList = false
  let last: { text: string; at: number } | null = null
  for (const token of fields(before)) {
    const word = token.text.toLowerCase()
    const before_ = part
    last = token
    if (token.at + token.text.length === caret && !/^[()[\],]$|^[=<>!~]+$/.test(token.text)) {
      return { part: before_, field, operator, typed: bare(token.text), from: token.at }
    }
    if (word === 'and' && part === 'value' && /between/i.test(before)) part = 'value'
    else if (word === 'and' || word === 'or') {
      part = 'field'
      inList = false
    } else if (word === '[' || (word === '(' && part === 'value')) inList = true
    else if (word === ']' || word === ')') {
      inList = false
      part = 'connective'
    } else if (word === ',') part = inList ? 'value' : part
    else if (word === '(') part = 'field'
    else if (/^[=<>!~]+$/.test(word)) {
      part = 'value'
      operator = word
    }
    else if (part === 'field') {
      if (word !== 'not') {
        field = token.text
        operator = ''
        part = 'operator'
      }
    } else if (part === 'operator') {
      if (['exists', 'empty', 'null'].includes(word)) part = 'connective'
      else if (WORDS.has(word) && word !== 'is' && word !== 'not' && word !== 'starts' && word !== 'ends') part = 'value'
    } else if (part === 'value' && word !== 'not') part = inList ? 'value' : 'connective'
  }
  const isOver = last === null || last.at + last.text.length < caret || /[()[\],=<>!~]$/.test(before)
  return { part, field, operator, typed: isOver || last === null ? '' : bare(last.text), from: isOver || last === null ? caret : last.at }
}

/** Tokens, with the quoted keys of a field joined to its name. */
function* fields(text: string): Generator<{ text: string; at: number }> {
  let joined: { text: string; at: number } | null = null
  for (const found of text.matchAll(TOKEN)) {
    if (joined !== null && joined.text.endsWith('.') && joined.at + joined.text.length === found.index) {
      joined.text += found[0]
      continue
    }
    if (joined !== null) yield joined
    joined = { text: found[0], at: found.index }
  }
  if (joined !== null) yield joined
}

function bare(text: string): string {
  const quote = text[0]
  if (quote !== '"' && quote !== "'") return text
  const inside = text.length > 1 && text.endsWith(quote) ? text.slice(1, -1) : text.slice(1)
  return inside.replaceAll(/\\(.)/g, '$1')
}

export type Scalar = string | number | boolean | null

/** A value as it is written in a query. */
export function literal(value: Scalar): string {
  return typeof value === 'string' ? JSON.stringify(value).replaceAll('*', '\\*') : String(value)
}

/** `field = value`, as one condition more. */
export function narrowed(q: string, field: string, value: Scalar, isNot = false): string {
  const one = value === null ? `${field} IS ${isNot ? 'NOT ' : ''}NULL` : `${field} ${isNot ? '!=' : '='} ${literal(value)}`
  if (q.trim() === '') return one
  return `${/\bor\b/i.test(q) ? `(${q})` : q} AND ${one}`
}

/** Keys of a field's path: `properties."a b".c` has three. */
export function keysOf(field: string): string[] {
  const keys: string[] = []
  for (const [, double, tick, plain] of field.matchAll(/"((?:\\.|[^"\\])*)"|`([^`]*)`|([^.\s"`]+)/g)) {
    keys.push(double === undefined ? (tick ?? plain ?? '') : (JSON.parse(`"${double}"`) as string))
  }
  return keys
}

/** What a document has there; undefined: nothing. */
export function valueAt(document: unknown, field: string): unknown {
  let here: unknown = document
  for (const key of keysOf(field)) {
    if (here === null || typeof here !== 'object') return undefined
    here = (here as Record<string, unknown>)[key]
  }
  return here
}

/** How often which value is there, the most frequent first; items of lists count each. */
export function tally(documents: readonly unknown[], field: string): { value: Scalar; count: number }[] {
  const counts = new Map<Scalar, number>()
  for (const document of documents) {
    const found = valueAt(document, field)
    for (const value of new Set(Array.isArray(found) ? (found as unknown[]) : [found])) {
      if (value === undefined || (typeof value === 'object' && value !== null)) continue
      counts.set(value as Scalar, (counts.get(value as Scalar) ?? 0) + 1)
    }
  }
  return [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count)
}
