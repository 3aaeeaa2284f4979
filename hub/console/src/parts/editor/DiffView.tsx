import { unifiedMergeView } from '@codemirror/merge'
import { EditorState } from '@codemirror/state'
import { EditorView, lineNumbers } from '@codemirror/view'
import { useEffect, useRef } from 'react'

import type { DiffProps } from '../Diff'
import { look } from './look'

export default function DiffView({ label, before, after }: DiffProps) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const made = new EditorView({
      parent: place.current!,
      state: EditorState.create({
        doc: after,
        extensions: [
          look,
          lineNumbers(),
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ 'aria-label': label, 'aria-readonly': 'true' }),
          EditorView.theme({ '.cm-scroller': { maxHeight: '480px' } }),
          unifiedMergeView({ original: before, mergeControls: false, gutter: true, collapseUnchanged: { margin: 3, minSize: 6 } }),
        ],
      }),
    })
    return () => {
      made.destroy()
    }
  }, [label, before, after])
  return <div ref={place} />
}
