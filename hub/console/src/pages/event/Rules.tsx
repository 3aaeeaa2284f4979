import { Anchor, Group, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

import { url } from '../../api/client'
import { StateBadge } from '../../parts/StateBadge'
import type { Did, Trace } from './types'

/** What filters, validators and other rules did to it, and what was odd about it. */
export function Rules({ trace }: { trace: Trace }) {
  const flags = trace.validation?.flags ?? []
  const rules = trace.rules ?? []
  const problems = trace.mappings?.problems ?? []
  if (flags.length + rules.length + problems.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        No rule had anything to say, and nothing was odd about it.
      </Text>
    )
  }
  return (
    <Stack gap={6}>
      {flags.map(({ flag, meaning }) => (
        <Group gap={6} key={flag} fz="sm">
          <StateBadge state={flag} tone="warn" />
          <span>{meaning}</span>
        </Group>
      ))}
      {rules.map((one, n) => (
        <Line key={n} by={one.rule}>
          {WORDS[one.did](one.field)}
          {one.detail && `: ${one.detail}`}
        </Line>
      ))}
      {problems.map((one, n) => (
        <Line key={n} by={ruleOf(one.mapping, trace.edge.source)}>
          {one.field && `${one.field}: `}
          {one.detail}
        </Line>
      ))}
    </Stack>
  )
}

const at = (field: string) => (field ? ` at ${field}` : '')
const WORDS: Record<Did['did'], (field: string) => string> = {
  flagged: () => 'marked it',
  invalid: (field) => `found it not valid${at(field)}`,
  removed: (field) => `took out ${field}`,
  hashed: (field) => `replaced ${field} by its hash`,
  reshaped: (field) => `made new ${field}; what was sent is in raw`,
  failed: (field) => `could not be used${at(field)}`,
}

/** Kind and id of the definition that a problem is of; null: of a takeover, which has none. Args: source: of the event. */
function ruleOf(mapping: string, source: string): string | null {
  if (source === '@migration' && mapping === 'takeover') return null
  return ['event-type', 'identification-point', 'flow'].some((kind) => mapping.startsWith(`${kind}/`)) ? mapping : `mapping/${mapping}`
}

/** Args: by: kind and id of a definition; null: a takeover. */
function Line({ by, children }: { by: string | null; children: ReactNode }) {
  const kind = by?.slice(0, by.indexOf('/')) ?? ''
  const id = by?.slice(kind.length + 1) ?? ''
  return (
    <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
      {by === null ? 'the takeover from the installation that was there before could not bring all of it:' : kind.replaceAll('-', ' ')}{' '}
      {id !== '' && (
        <Anchor component={Link} href={url('/definitions', { kind, id })} inherit>
          {id}
        </Anchor>
      )}{' '}
      {children}
    </Text>
  )
}
