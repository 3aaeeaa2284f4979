import { useCallback, useMemo } from 'react'
import { useSearchParams } from 'wouter'

/** What is looked at, kept in the address, so that a link to it can be passed on. */
export function useAddress() {
  const [params, setParams] = useSearchParams()
  const get = useCallback((name: string) => params.get(name) ?? '', [params])
  const list = useCallback((name: string) => params.getAll(name), [params])
  /** Empty: taken out of the address. Args: replace: not a step that Back goes back to. */
  const set = useCallback(
    (changes: Record<string, string | string[]>, { replace = false } = {}) => {
      setParams(
        (now) => {
          const made = new URLSearchParams(now)
          for (const [name, value] of Object.entries(changes)) {
            made.delete(name)
            for (const one of [value].flat()) if (one !== '') made.append(name, one)
          }
          return made
        },
        { replace },
      )
    },
    [setParams],
  )
  return useMemo(() => ({ get, list, set }), [get, list, set])
}
