// Who it is: the session and the profile, under the names that the predecessor's tracker has for them.

import { uuid7 } from './ids.ts'
import type { Ref } from './options.ts'
import { cookie, setCookie, type Store } from './store.ts'

export const SESSION = 'tracardi-session-id'
export const PROFILE = 'tracardi-profile-id'
const PROFILE_COOKIE = '__tr_pid'
/** A session ends so long after its last event. */
const SESSION_SECONDS = 1800

export class Identity {
  private readonly store: Store
  private readonly fixed: Ref | undefined
  private memory: { session?: string; until: number; profile?: string } = { until: 0 }

  /** `fixed` is the profile that the page names. */
  constructor(store: Store, fixed: Ref | undefined) {
    this.store = store
    this.fixed = fixed
  }

  /** The session's id; asking for it makes it last. */
  session(): string {
    const now = Date.now()
    const id = this.current() || uuid7(now)
    setCookie(SESSION, id, SESSION_SECONDS)
    this.memory.session = id
    this.memory.until = now + SESSION_SECONDS * 1_000
    return id
  }

  /** The session's id, if there is one; it ends when it would have ended. */
  current(): string {
    // where cookies are refused a session cannot outlive its page
    return cookie(SESSION) || (Date.now() < this.memory.until && this.memory.session) || ''
  }

  profile(): Ref | null {
    if (this.fixed) return this.fixed
    const id = this.store.get(PROFILE) || cookie(PROFILE_COOKIE) || this.memory.profile
    return id ? { id } : null
  }

  /** Keep the profile that the hub has answered with. */
  keep(id: unknown): void {
    if (this.fixed || typeof id !== 'string' || !id) return
    this.memory.profile = id
    this.store.set(PROFILE, id)
    setCookie(PROFILE_COOKIE, id, SESSION_SECONDS)
  }

  forget(): void {
    this.memory = { until: 0 }
    this.store.remove(PROFILE)
    for (const name of [SESSION, PROFILE_COOKIE]) setCookie(name, '', 0)
  }
}
