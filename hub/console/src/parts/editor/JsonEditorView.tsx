import { closeBrackets, closeBracketsKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { json, jsonParseLinter } from '@codemirror/lang-json'
import { bracketMatching } from '@codemirror/language'
import { type Diagnostic, linter, lintKeymap } from '@codemirror/lint'
import { Compartment, EditorState, StateEffect } from '@codemirror/state'
import { EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { useEffect, useRef } from 'react'

import type { JsonEditorProps } from '../JsonEditor'
import { colours, look } from './look'
import { placeOf } from './places'

/** Somebody else has found something: look anew, though the text is the same. */
const found = StateEffect.define<null>()

export default function JsonEditorView({ label, value, onChange, readOnly = false, problems = [], height = 220 }: JsonEditorProps) {
  const place = useRef<HTMLDivElement>(null)
  const editor = useRef<EditorView | null>(null)
  const may = useRef(new Compartment())
  const now = useRef({ onChange, problems })
  now.current = { onChange, problems }

  useEffect(() => {
    const syntax = jsonParseLinter()
    const made = new EditorView({
      parent: place.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          look,
          colours,
          lineNumbers(),
          history(),
          json(),
          bracketMatching(),
          closeBrackets(),
          highlightActiveLine(),
          // Tab leaves the editor, for those who have only a keyboard
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          linter((view) => (view.state.doc.toString().trim() === '' ? [] : [...syntax(view), ...marked(view, now.current.problems)]), {
            delay: 300,
            needsRefresh: ({ transactions }) => transactions.some(({ effects }) => effects.some((effect) => effect.is(found))),
          }),
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
          EditorView.theme({ '.cm-scroller': { minHeight: `${height}px`, maxHeight: `${height * 2}px` } }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) now.current.onChange?.(update.state.doc.toString())
          }),
          may.current.of(EditorState.readOnly.of(readOnly)),
        ],
      }),
    })
    editor.current = made
    return () => {
      editor.current = null
      made.destroy()
    }
    // what changes later goes into the same editor, below
  }, [label, height])

  useEffect(() => {
    const view = editor.current
    if (view === null || view.state.doc.toString() === value) return
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } })
  }, [value])

  useEffect(() => {
    editor.current?.dispatch({ effects: may.current.reconfigure(EditorState.readOnly.of(readOnly)) })
  }, [readOnly])

  useEffect(() => {
    editor.current?.dispatch({ effects: found.of(null) })
  }, [JSON.stringify(problems)])

  return <div ref={place} />
}

function marked(view: EditorView, problems: NonNullable<JsonEditorProps['problems']>): Diagnostic[] {
  return problems.map(({ path, message, level }) => ({ ...placeOf(view.state, path), message, severity: level ?? 'error' }))
}
