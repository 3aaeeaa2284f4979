import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'

import { hub } from '../../api/client'
import type { EditorProblem } from '../../parts/JsonEditor'
import { type Draft, mappingOf } from './draft'
import type { Made, Sample } from './mapping'

interface Finding {
  level: 'error' | 'warning'
  where: string
  path: (string | number)[]
  detail: string
}

interface Tried {
  findings: Finding[]
  messages: Made[]
}

const WAIT_MS = 350

/** What the draft's mapping makes of messages, a moment after it was changed. */
export function useMade(draft: Draft, samples: Sample[]) {
  const [mapping] = useDebouncedValue(useMemo(() => parsed(draft), [draft.way, draft.mapping]), WAIT_MS)
  const whole = samples.filter(({ isCut }) => !isCut)
  const wanted = { mapping: mapping.value, source: draft.source, messages: whole.map(({ body, meta }) => ({ body, meta })) }
  const tried = useQuery<Tried>({
    queryKey: ['/mappings/try', wanted],
    queryFn: ({ signal }) => hub.post<Tried>('/mappings/try', wanted, { signal }),
    enabled: mapping.fault === null && draft.source !== '',
    placeholderData: keepPreviousData,
  })
  const findings = mapping.fault === null ? (tried.data?.findings ?? []) : []
  const problems = useMemo<EditorProblem[]>(
    () => findings.map(({ path, detail, level }) => ({ path, level, message: detail })),
    [JSON.stringify(findings)],
  )
  return {
    fault: mapping.fault,
    findings,
    problems,
    error: mapping.fault === null ? tried.error : null,
    isFetching: tried.isFetching,
    /** Of a sample; undefined: not known. */
    of: (sample: Sample): Made | undefined => (mapping.fault === null ? tried.data?.messages[whole.indexOf(sample)] : undefined),
    isUsable: mapping.fault === null && !findings.some(({ level }) => level === 'error'),
  }
}

function parsed(draft: Draft): { value: unknown; fault: string | null } {
  try {
    return { value: mappingOf(draft), fault: null }
  } catch (failed) {
    return { value: null, fault: failed instanceof Error ? failed.message : String(failed) }
  }
}
