import { ActionIcon, Combobox, Group, Loader, Text, TextInput, useCombobox } from '@mantine/core'
import { IconArrowRight, IconSearch } from '@tabler/icons-react'
import { type KeyboardEvent, useEffect, useId, useLayoutEffect, useRef, useState } from 'react'

import { placeOf } from './search/language'
import { isBadQuery, QueryError } from './search/QueryError'
import { useCompletions } from './search/useCompletions'

interface Props {
  /** What it searches: `events`, `profiles`, … the kinds that have `/{kind}/fields`. */
  kind: string
  value: string
  /** Called when the query is to be run: on Enter, and when it has been emptied. */
  onChange: (q: string) => void
  error?: unknown
  placeholder?: string
}

const EVERYTHING = '\u0000all'

/** A line of the query language (docs/query.md), completed with the fields and values that there are. `/` goes to it. */
export function QueryInput({ kind, value, onChange, error, placeholder }: Props) {
  const [text, setText] = useState(() => oneLine(value))
  const [caret, setCaret] = useState(value.length)
  const [isHere, setIsHere] = useState(false)
  /** Of the completions, the one that Enter takes. */
  const [active, setActive] = useState(-1)
  const id = useId()
  const input = useRef<HTMLInputElement>(null)
  /** Where the caret has to be after a completion. */
  const wanted = useRef<number | null>(null)
  const list = useCombobox({
    onDropdownClose: () => {
      reset()
    },
  })
  function reset() {
    list.resetSelectedOption()
    setActive(-1)
  }
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

  useLayoutEffect(() => {
    // at once: whoever types on would else find the caret moved
    if (wanted.current === null) return
    input.current?.focus()
    input.current?.setSelectionRange(wanted.current, wanted.current)
    wanted.current = null
  }, [text])

  const place = placeOf(text, caret)
  const { items, isFetching, all } = useCompletions(kind, place, isHere)
  const isWhole = items.length === 1 && items[0]?.text === text.slice(place.from, caret)
  const isOpen = isHere && list.dropdownOpened && ((items.length > 0 && !isWhole) || all !== null)

  function run(q: string) {
    list.closeDropdown()
    onChange(q.trim())
  }

  function follow() {
    setCaret(input.current?.selectionStart ?? text.length)
  }

  function goTo(line: number, column: number) {
    const at = text.split('\n').slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1
    input.current?.focus()
    input.current?.setSelectionRange(at, at + 1)
  }

  function take(chosen: string) {
    if (chosen === EVERYTHING) {
      all?.()
      return
    }
    const rest = text.slice(caret).replace(/^[^\s()[\],=<>!~"']*["']?/, '')
    const space = chosen.endsWith('[') ? '' : ' '
    const made = text.slice(0, place.from) + chosen + space
    setText(made + rest.trimStart())
    setCaret(made.length)
    reset()
    wanted.current = made.length
  }

  return (
    <div>
      <Combobox store={list} onOptionSubmit={take} withinPortal position="bottom-start" shadow="sm" offset={2} width="target" transitionProps={{ duration: 0 }}>
        <Combobox.Target withAriaAttributes={false}>
          <TextInput
            ref={input}
            role="combobox"
            aria-label={`Search ${kind}`}
            aria-autocomplete="list"
            aria-haspopup="listbox"
            aria-expanded={isOpen}
            {...(isOpen ? { 'aria-controls': id } : {})}
            {...(isOpen && active >= 0 ? { 'aria-activedescendant': `${id}-${active}` } : {})}
            aria-keyshortcuts="/"
            placeholder={placeholder ?? `Search ${kind}, such as type = "purchase"`}
            leftSection={isFetching && isOpen ? <Loader size={14} /> : <IconSearch size={16} aria-hidden />}
            rightSection={
              <ActionIcon
                aria-label="Search"
                onClick={() => {
                  run(text)
                }}
              >
                <IconArrowRight size={16} aria-hidden />
              </ActionIcon>
            }
            styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
            value={text}
            spellCheck={false}
            autoComplete="off"
            autoCapitalize="off"
            error={isBadQuery(error)}
            onChange={(event) => {
              setText(event.currentTarget.value)
              setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length)
              list.openDropdown()
              reset()
              if (event.currentTarget.value === '' && value !== '') onChange('')
            }}
            onFocus={() => {
              setIsHere(true)
              follow()
            }}
            onClick={() => {
              follow()
              list.openDropdown()
            }}
            onBlur={() => {
              setIsHere(false)
              list.closeDropdown()
            }}
            onSelect={follow}
            onKeyDown={(event: KeyboardEvent) => {
              // when the list has moved
              if (/^Arrow(Up|Down)$/.test(event.key)) setTimeout(() => { setActive(list.getSelectedOptionIndex()) })
              if (event.key === 'Escape' && isOpen) {
                event.stopPropagation()
                list.closeDropdown()
              } else if (event.key === 'Enter' && !(isOpen && list.getSelectedOptionIndex() >= 0)) {
                event.preventDefault()
                run(text)
              } else if (event.key === 'Tab' && isOpen && list.getSelectedOptionIndex() >= 0) {
                event.preventDefault()
                list.clickSelectedOption()
              }
            }}
          />
        </Combobox.Target>
        <Combobox.Dropdown hidden={!isOpen}>
          <Combobox.Options id={id} mah={280} style={{ overflowY: 'auto' }} aria-label="Completions">
            {items.map(({ text: one, note }, n) => (
              <Combobox.Option id={`${id}-${n}`} value={one} key={one} py={3}>
                <Group justify="space-between" wrap="nowrap" gap="md">
                  <Text ff="monospace" size="sm" truncate>
                    {one}
                  </Text>
                  <Text size="xs" style={{ flex: 'none' }}>
                    {note}
                  </Text>
                </Group>
              </Combobox.Option>
            ))}
            {all !== null && (
              <Combobox.Option id={`${id}-${items.length}`} value={EVERYTHING} py={3}>
                <Text size="sm">Look through all {kind} for values: may take a while</Text>
              </Combobox.Option>
            )}
          </Combobox.Options>
        </Combobox.Dropdown>
      </Combobox>
      {isBadQuery(error) && value !== '' && <QueryError error={error} go={goTo} />}
    </div>
  )
}

/** As a field of one line has it. */
const oneLine = (q: string): string => q.replaceAll(/\s*\n\s*/g, ' ')
