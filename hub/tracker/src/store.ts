// localStorage and cookies, which a browser may refuse: then nothing is kept, and nothing fails.

/** The part of `Storage` that is used. */
export interface Store {
  get(key: string): string | null
  /** False: there is no room, or no storage. */
  set(key: string, value: string): boolean
  remove(key: string): void
  keys(): string[]
}

/** `area` asks for the storage: in some browsers the question alone throws. */
export function storeOf(area: () => Storage): Store {
  const attempt = <T>(fallback: T, task: (storage: Storage) => T): T => {
    try {
      return task(area())
    } catch {
      return fallback
    }
  }
  return {
    get: (key) => attempt(null, (storage) => storage.getItem(key)),
    set: (key, value) => attempt(false, (storage) => (storage.setItem(key, value), true)),
    remove: (key) => attempt(undefined, (storage) => storage.removeItem(key)),
    keys: () => attempt([] as string[], (storage) => Object.keys(storage)),
  }
}

export function cookie(name: string): string {
  for (const pair of document.cookie.split('; ')) {
    if (pair.startsWith(`${name}=`)) {
      try {
        return decodeURIComponent(pair.slice(name.length + 1))
      } catch {
        return '' // written by somebody else
      }
    }
  }
  return ''
}

/** Zero seconds remove it. */
export function setCookie(name: string, value: string, seconds: number): void {
  const secure = location.protocol === 'https:' ? '; Secure' : ''
  document.cookie = `${name}=${encodeURIComponent(value)}; Max-Age=${seconds}; Path=/; SameSite=Lax${secure}`
}
