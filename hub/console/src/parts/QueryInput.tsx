import { TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { type KeyboardEvent, useEffect, useState } from 'react'

import { Problem } from '../api/client'

interface Props {
  /** What it searches: `events`, `profiles`, … the kinds that have `/{kind}/fields`. */
  kind: string
  value: string
  /** Called when the query is to be run: on Enter, and when it has been emptied. */
  onChange: (q: string) => void
  error?: unknown
}

/** A line of the query language (docs/query.md). Plain for now: completion of fields and values is to come here. */
export function QueryInput({ kind, value, onChange, error }: Props) {
  const [text, setText] = useState(value)
  useEffect(() => {
    setText(value)
  }, [value])
  return (
    <TextInput
      aria-label={`Search ${kind}`}
      placeholder={`Search ${kind}, such as type = "purchase"`}
      leftSection={<IconSearch size={16} aria-hidden />}
      ff="monospace"
      value={text}
      spellCheck={false}
      autoComplete="off"
      onChange={(event) => {
        setText(event.currentTarget.value)
        if (event.currentTarget.value === '') onChange('')
      }}
      onKeyDown={(event: KeyboardEvent) => {
        if (event.key === 'Enter') onChange(text.trim())
      }}
      error={error instanceof Problem && error.reason === 'bad_query' ? error.message : null}
    />
  )
}
