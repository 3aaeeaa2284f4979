import { Skeleton } from '@mantine/core'
import { lazy, Suspense } from 'react'

export interface EditorProblem {
  /** From the outermost in, such as ['event', 'properties', 'amount']. */
  path: (string | number)[]
  message: string
  level?: 'error' | 'warning'
}

export interface JsonEditorProps {
  /** What is edited, for those who do not see it. */
  label: string
  value: string
  onChange?: (text: string) => void
  readOnly?: boolean
  /** Shown at the fields that they are about. */
  problems?: EditorProblem[]
  /** Of the editor, pixels; it grows up to twice as much. */
  height?: number
}

const Loaded = lazy(() => import('./editor/JsonEditorView'))

/** JSON as text, with its mistakes marked. The editor is loaded when it is first needed. */
export function JsonEditor(props: JsonEditorProps) {
  return (
    <Suspense fallback={<Skeleton height={props.height ?? 220} radius="sm" />}>
      <Loaded {...props} />
    </Suspense>
  )
}
