import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'

import { hub } from '../../api/client'
import type { Page } from '../../api/hooks'
import { literal, type Place, type Scalar, tally, valueAt } from './language'

export interface Completion {
  /** What is put into the query. */
  text: string
  /** What is beside it: a type, how often. */
  note: string
}

export interface Field {
  name: string
  type: string
  indexed: boolean
}

/** Of how many of the newest documents values are known at once. */
export const SAMPLE = 200
/** Up to so many documents the hub counts values while somebody types. */
const FEW = 20_000
const MOST = 12
const OPERATORS: Completion[] = [
  { text: '=', note: 'is' },
  { text: '!=', note: 'is not' },
  { text: '>', note: 'greater, or later' },
  { text: '<', note: 'less, or earlier' },
  { text: 'IN [', note: 'one of' },
  { text: 'CONTAINS', note: 'a part of a text, an item of a list' },
  { text: 'STARTS WITH', note: '' },
  { text: 'BETWEEN', note: 'BETWEEN 1 AND 5' },
  { text: '~', note: 'a regular expression' },
  { text: 'EXISTS', note: 'there, and not null' },
  { text: 'IS NULL', note: 'null, or not there' },
]
const CONNECTIVES: Completion[] = [
  { text: 'AND', note: 'both' },
  { text: 'OR', note: 'one of both' },
]

/** Fields of a kind, asked once a minute at most. */
export function useFields(kind: string, enabled: boolean): Field[] {
  const found = useQuery({
    queryKey: [`/${kind}/fields`, {}],
    queryFn: ({ signal }) => hub.get<{ items: Field[] }>(`/${kind}/fields`, {}, signal),
    staleTime: 60_000,
    enabled,
  })
  return found.data?.items ?? NONE
}
const NONE: Field[] = []

/** The newest documents, in which values are found without asking the hub to look through all. */
export function useSample(kind: string, enabled: boolean): unknown[] | undefined {
  return useQuery({
    queryKey: [`/${kind}`, { size: SAMPLE, for: 'completion' }],
    queryFn: async ({ signal }) => (await hub.get<Page<unknown>>(`/${kind}`, { size: SAMPLE }, signal)).items,
    staleTime: 60_000,
    enabled,
  }).data
}

/** What may stand at a place of a query. `all()`: asks the hub for every value there is, which may take it long. */
export function useCompletions(kind: string, place: Place, enabled: boolean) {
  // whoever asks for more or less than something has a number of their own
  const isValue = enabled && place.part === 'value' && place.field !== '' && !/[<>]/.test(place.operator)
  const every = useFields(kind, enabled)
  const sample = useSample(kind, enabled && (isValue || place.part === 'field'))
  const fields = useMemo(() => seenFirst(every, sample ?? []), [every, sample])
  const size = useQuery({
    queryKey: [`/${kind}/count`, {}],
    queryFn: async ({ signal }) => (await hub.get<{ count: number }>(`/${kind}/count`, {}, signal)).count,
    staleTime: 60_000,
    enabled: isValue,
  }).data
  const [asked, setAsked] = useState('')
  const isFew = size !== undefined && size <= FEW
  const values = useQuery({
    queryKey: [`/${kind}/values`, { field: place.field, prefix: place.typed }],
    queryFn: async ({ signal }) => {
      const query = { field: place.field, prefix: place.typed, limit: MOST }
      return (await hub.get<{ items: { value: Scalar; count: number }[] }>(`/${kind}/values`, query, signal)).items
    },
    staleTime: 60_000,
    retry: false,
    enabled: isValue && (isFew || asked === place.field),
  })
  const typed = place.typed.toLowerCase()
  const begins = (text: string) => text.toLowerCase().startsWith(typed)
  let items: Completion[] = []
  if (place.part === 'field') {
    const first = fields.filter(({ name }) => begins(name))
    const more = typed === '' ? [] : fields.filter(({ name }) => !begins(name) && name.toLowerCase().includes(typed))
    items = [...first, ...more].slice(0, MOST).map(({ name, type, seen }) => ({ text: name, note: seen === '' ? type : `${type}, such as ${seen}` }))
  } else if (place.part === 'operator') items = OPERATORS.filter(({ text }) => begins(text))
  else if (place.part === 'connective') items = CONNECTIVES.filter(({ text }) => begins(text))
  else if (isValue) {
    const seen = values.data ?? tally(sample ?? [], place.field).filter(({ value }) => value !== null && begins(String(value)))
    items = seen.slice(0, MOST).map(({ value, count }) => ({
      text: literal(value),
      note: values.data ? `${count}` : `${count} of the newest ${sample?.length ?? 0}`,
    }))
  }
  const canAskAll = isValue && size !== undefined && !isFew && asked !== place.field
  return {
    items,
    isFetching: isValue && (values.isFetching || sample === undefined),
    all: canAskAll
      ? () => {
          setAsked(place.field)
        }
      : null,
  }
}

/** Most characters of a value that is shown beside its field. */
const SHORT = 24

/** Fields that somebody has first, each with a value of it; what the hub itself notes, and headers, come last of them. */
function seenFirst(fields: Field[], sample: readonly unknown[]): (Field & { seen: string })[] {
  const told = fields.map((field) => {
    const value = sample.map((one) => valueAt(one, field.name)).find((one) => ['string', 'number', 'boolean'].includes(typeof one))
    return { ...field, seen: value === undefined ? '' : String(value).slice(0, SHORT) }
  })
  const rank = ({ name, seen }: { name: string; seen: string }) => (seen === '' ? 2 : /^(metadata|outcome|request)\./.test(name) ? 1 : 0)
  return told.sort((one, other) => rank(one) - rank(other))
}
