import { ActionIcon, Button, Group, Text } from '@mantine/core'
import { IconArrowRight, IconSearch } from '@tabler/icons-react'
import { useEffect, useRef, useState } from 'react'

import { Completed } from './search/Completed'
import { literal } from './search/language'
import { isBadQuery, QueryError } from './search/QueryError'

interface Props {
  /** What it searches: `events`, `profiles`, … the kinds that have `/{kind}/fields`. */
  kind: string
  value: string
  /** Called when the query is to be run: on Enter, and when it has been emptied. */
  onChange: (q: string) => void
  error?: unknown
  placeholder?: string
  /** Fields of which somebody may mean one who types a value alone, such as an id. */
  alone?: string[]
}

/** A line of the query language (docs/query.md), completed with the fields and values that there are. `/` goes to it. */
export function QueryInput({ kind, value, onChange, error, placeholder, alone = [] }: Props) {
  const [text, setText] = useState(() => oneLine(value))
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    setText(oneLine(value))
  }, [value])
  useEffect(() => {
    const toIt = (event: globalThis.KeyboardEvent) => {
      const { target } = event
      const isTyping = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
      if (event.key !== '/' || event.ctrlKey || event.metaKey || isTyping) return
      event.preventDefault()
      input.current?.focus()
    }
    addEventListener('keydown', toIt)
    return () => {
      removeEventListener('keydown', toIt)
    }
  }, [])

  function run() {
    onChange(text.trim())
  }

  function goTo(line: number, column: number) {
    const at = text.split('\n').slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1
    input.current?.focus()
    input.current?.setSelectionRange(at, at + 1)
  }

  const isAlone = alone.length > 0 && /^[^\s=<>!~()[\]"'`]+$/.test(value.trim())
  return (
    <div>
      <Completed
        kind={kind}
        value={text}
        onChange={(next) => {
          setText(next)
          if (next === '' && value !== '') onChange('')
        }}
        onRun={run}
        input={input}
        more={{
          'aria-label': `Search ${kind}`,
          'aria-keyshortcuts': '/',
          placeholder: placeholder ?? `Search ${kind}, such as type = "purchase"`,
          leftSection: <IconSearch size={16} aria-hidden />,
          rightSection: (
            <ActionIcon aria-label="Search" onClick={run}>
              <IconArrowRight size={16} aria-hidden />
            </ActionIcon>
          ),
          styles: { input: { fontFamily: 'var(--mantine-font-family-monospace)' } },
          error: isBadQuery(error),
        }}
      />
      {isBadQuery(error) && value !== '' && <QueryError error={error} go={goTo} />}
      {isBadQuery(error) && isAlone && (
        <Group gap="xs" mt={6}>
          <Text size="sm">Search for</Text>
          {alone.map((field) => (
            <Button key={field} variant="default" size="compact-sm" onClick={() => { onChange(`${field} = ${literal(value.trim())}`) }}>
              {field} = {value.trim()}
            </Button>
          ))}
        </Group>
      )}
    </div>
  )
}

/** As a field of one line has it. */
const oneLine = (q: string): string => q.replaceAll(/\s*\n\s*/g, ' ')
