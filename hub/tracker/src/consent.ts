// May anything be kept or sent? What the browser asks for, and what the person has said.

import type { TrackerOptions } from './options.ts'
import type { Store } from './store.ts'

const CONSENT = 'tracardi-consent'

export class Consent {
  private readonly store: Store
  private readonly required: boolean
  private said: string | null = null
  /** The browser asks not to track, and the page respects that: nothing can change it. */
  readonly never: boolean

  constructor(store: Store, settings: TrackerOptions['settings']) {
    this.store = store
    this.required = settings?.consentRequired === true
    const { globalPrivacyControl } = navigator as { globalPrivacyControl?: boolean }
    const asked = navigator.doNotTrack === '1' || globalPrivacyControl === true
    this.never = asked && settings?.respectDoNotTrack === true
  }

  /** Null: nobody has been asked yet, and nothing is kept or sent until then. */
  get given(): boolean | null {
    if (this.never) return false
    const said = this.said ?? this.store.get(CONSENT)
    return said ? said === 'yes' : this.required ? null : true
  }

  say(yes: boolean): void {
    if (this.never) return
    this.said = yes ? 'yes' : 'no'
    this.store.set(CONSENT, this.said)
  }
}
