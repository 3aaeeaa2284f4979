import { pretty } from '../../parts/pretty'
import { save } from '../../parts/save'
import type { Entry } from './types'

/** Save a definition as a file that `hub apply -f` takes, wherever it lies. */
export function exported({ kind, id, spec }: Entry): void {
  save(`${kind}.${id.replaceAll(/[^\w.-]+/g, '_')}.json`, new Blob([pretty({ kind, id, spec }), '\n'], { type: 'application/json' }))
}
