import { Combobox, Group, Loader, Text, Textarea, type TextareaProps, TextInput, type TextInputProps, useCombobox } from '@mantine/core'
import { type KeyboardEvent, type RefObject, type SyntheticEvent, useId, useLayoutEffect, useRef, useState } from 'react'

import { placeOf } from './language'
import { useCompletions } from './useCompletions'

type Element = HTMLInputElement | HTMLTextAreaElement

interface Props {
  /** Whose fields and values there are: `events`, `profiles`, … the kinds that have `/{kind}/fields`. */
  kind: string
  value: string
  onChange: (text: string) => void
  /** On Enter, if no completion is chosen; without it Enter begins a line, of which there may be several. */
  onRun?: () => void
  input: RefObject<Element | null>
  /** Of the field: its label and so on. */
  more: TextInputProps & TextareaProps
}

const EVERYTHING = '\u0000all'

/** A field for the query language (docs/query.md), completed with the fields and values that there are. */
export function Completed({ kind, value: text, onChange, onRun, input, more }: Props) {
  const [caret, setCaret] = useState(text.length)
  const [isHere, setIsHere] = useState(false)
  /** Of the completions, the one that Enter takes. */
  const [active, setActive] = useState(-1)
  const id = useId()
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
  useLayoutEffect(() => {
    // at once: whoever types on would else find the caret moved
    if (wanted.current === null) return
    input.current?.focus()
    input.current?.setSelectionRange(wanted.current, wanted.current)
    wanted.current = null
  }, [text, input])

  const place = placeOf(text, caret)
  const { items, isFetching, all } = useCompletions(kind, place, isHere)
  const isWhole = items.length === 1 && items[0]?.text === text.slice(place.from, caret)
  const isOpen = isHere && list.dropdownOpened && ((items.length > 0 && !isWhole) || all !== null)

  function follow() {
    setCaret(input.current?.selectionStart ?? text.length)
  }

  function take(chosen: string) {
    if (chosen === EVERYTHING) {
      all?.()
      return
    }
    const rest = text.slice(caret).replace(/^[^\s()[\],=<>!~"']*["']?/, '')
    const space = chosen.endsWith('[') ? '' : ' '
    const made = text.slice(0, place.from) + chosen + space
    onChange(made + rest.trimStart())
    setCaret(made.length)
    reset()
    wanted.current = made.length
  }

  const props = {
    // a field of several lines may be no combobox
    ...(onRun && { role: 'combobox', 'aria-expanded': isOpen }),
    'aria-autocomplete': 'list' as const,
    'aria-haspopup': 'listbox' as const,
    // Escape closes the completions first, then a dialog around the field
    ...(isOpen ? { 'aria-controls': id, 'data-mantine-stop-propagation': true } : {}),
    ...(isOpen && active >= 0 ? { 'aria-activedescendant': `${id}-${active}` } : {}),
    ...more,
    ...(isFetching && isOpen && { leftSection: <Loader size={14} /> }),
    value: text,
    spellCheck: false,
    autoComplete: 'off',
    autoCapitalize: 'off',
    onChange: ({ currentTarget }: SyntheticEvent<Element>) => {
      onChange(currentTarget.value)
      setCaret(currentTarget.selectionStart ?? currentTarget.value.length)
      list.openDropdown()
      reset()
    },
    onFocus: () => {
      setIsHere(true)
      follow()
    },
    onClick: () => {
      follow()
      list.openDropdown()
    },
    onBlur: () => {
      setIsHere(false)
      list.closeDropdown()
    },
    onSelect: follow,
    onKeyDown: (event: KeyboardEvent) => {
      // when the list has moved
      if (/^Arrow(Up|Down)$/.test(event.key)) setTimeout(() => { setActive(list.getSelectedOptionIndex()) })
      const isChosen = isOpen && list.getSelectedOptionIndex() >= 0
      if (event.key === 'Escape' && isOpen) {
        event.stopPropagation()
        list.closeDropdown()
      } else if (event.key === 'Enter' && onRun && !isChosen) {
        event.preventDefault()
        list.closeDropdown()
        onRun()
      } else if (event.key === 'Tab' && isChosen) {
        event.preventDefault()
        list.clickSelectedOption()
      }
    },
  }
  return (
    <Combobox store={list} onOptionSubmit={take} withinPortal position="bottom-start" shadow="sm" offset={2} width="target" transitionProps={{ duration: 0 }}>
      {/* the arrows move between lines, where there are several, unless there is a list */}
      <Combobox.Target withAriaAttributes={false} withKeyboardNavigation={onRun !== undefined || isOpen || text === ''}>
        {onRun ? (
          <TextInput {...props} ref={input as RefObject<HTMLInputElement>} />
        ) : (
          <Textarea {...props} ref={input as RefObject<HTMLTextAreaElement>} />
        )}
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
  )
}
