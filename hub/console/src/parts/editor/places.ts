import { syntaxTree } from '@codemirror/language'
import type { EditorState } from '@codemirror/state'
import type { SyntaxNode } from '@lezer/common'

const VALUES = new Set(['Object', 'Array', 'String', 'Number', 'True', 'False', 'Null'])

/** Where in a JSON text the value of a path is; where it is missing, the last part that is there. */
export function placeOf(state: EditorState, path: (string | number)[]): { from: number; to: number } {
  let node: SyntaxNode | null = values(syntaxTree(state).topNode)[0] ?? null
  let marked = node
  for (const part of path) {
    if (node === null) break
    const property = node.name === 'Object' ? node.getChildren('Property').find((one) => nameOf(state, one) === String(part)) : undefined
    const next: SyntaxNode | null = property ? (values(property)[0] ?? null) : node.name === 'Array' ? (values(node)[Number(part)] ?? null) : null
    if (next === null && property === undefined) break
    node = next
    marked = node ?? property ?? marked
  }
  if (marked === null) return { from: 0, to: state.doc.length }
  // of what has several lines, the first
  return { from: marked.from, to: Math.min(marked.to, state.doc.lineAt(marked.from).to) }
}

function values(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) if (VALUES.has(child.name)) found.push(child)
  return found
}

function nameOf(state: EditorState, property: SyntaxNode): string | null {
  const name = property.getChild('PropertyName')
  if (name === null) return null
  try {
    return JSON.parse(state.sliceDoc(name.from, name.to)) as string
  } catch {
    return null
  }
}
