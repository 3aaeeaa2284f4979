import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { EditorView } from '@codemirror/view'
import { tags } from '@lezer/highlight'

import { nonce } from '../../app/nonce'

/** As the rest of the console, in both themes: all of it is the theme's variables. */
export const look = [
  EditorView.cspNonce.of(nonce),
  EditorView.lineWrapping,
  EditorView.theme({
    '&': {
      fontSize: '0.75rem',
      backgroundColor: 'var(--mantine-color-body)',
      color: 'var(--mantine-color-text)',
      border: '1px solid var(--hub-line)',
      borderRadius: '4px',
    },
    '&.cm-focused': { outline: '2px solid var(--hub-note)', outlineOffset: '1px' },
    '.cm-content': { fontFamily: 'var(--mantine-font-family-monospace)', caretColor: 'var(--mantine-color-text)' },
    '.cm-cursor': { borderLeftColor: 'var(--mantine-color-text)' },
    '.cm-scroller': { overflow: 'auto' },
    '.cm-gutters': { backgroundColor: 'var(--hub-page)', color: 'var(--mantine-color-dimmed)', borderRight: '1px solid var(--hub-line)' },
    '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--hub-note) 8%, transparent)' },
    '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': {
      backgroundColor: 'color-mix(in srgb, var(--hub-note) 25%, transparent) !important',
    },
    '.cm-tooltip, .cm-panels': {
      backgroundColor: 'var(--mantine-color-body)',
      color: 'var(--mantine-color-text)',
      border: '1px solid var(--hub-line)',
    },
    '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--hub-note)', color: 'var(--mantine-color-body)' },
    '.cm-matchingBracket': { outline: '1px solid var(--hub-note)', backgroundColor: 'transparent !important' },
    '.cm-collapsedLines': { background: 'var(--hub-page)', color: 'var(--mantine-color-dimmed)' },
    '.cm-collapsedLines:before, .cm-collapsedLines:after': { content: '"…"' },
    '.cm-changedLine': { backgroundColor: 'color-mix(in srgb, var(--hub-good) 10%, transparent) !important' },
    '.cm-changedText': { background: 'none !important', textDecoration: 'underline 2px var(--hub-good)' },
    '.cm-deletedChunk': { backgroundColor: 'color-mix(in srgb, var(--hub-bad) 10%, transparent) !important' },
    '.cm-deletedChunk .cm-deletedText': { background: 'none !important', textDecoration: 'line-through var(--hub-bad)' },
  }),
]

/** Of JSON. Not where the ground is tinted, as in differences: there these colours cannot be read. */
export const colours = syntaxHighlighting(
  HighlightStyle.define([
    { tag: tags.propertyName, color: 'var(--hub-note)' },
    { tag: tags.string, color: 'var(--hub-good)' },
    { tag: [tags.number, tags.bool, tags.null], color: 'var(--hub-warn)' },
  ]),
)
