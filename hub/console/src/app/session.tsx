import { useQuery, useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect } from 'react'

import { hub, onSignedOut, Problem } from '../api/client'
import { queries } from '../api/hooks'
import type { Role, Session } from '../api/types'
import { ErrorNotice } from '../parts/ErrorNotice'
import { Loading } from '../parts/Loading'
import { Login } from './Login'

const KEY = ['session']
const INCLUDED: Record<Role, Role[]> = {
  collect: ['collect'],
  read: ['read'],
  operate: ['operate', 'read'],
  admin: ['admin', 'operate', 'read', 'collect'],
}
const Current = createContext<Session | null>(null)

/** Who is logged in. */
export function useSession(): Session {
  const session = useContext(Current)
  if (session === null) throw new Error('only pages behind the login know who is logged in')
  return session
}

/** Why whoever is logged in may not do what needs this role; null: they may. */
export function useRefusal(role: Role): string | null {
  const { roles } = useSession()
  if (roles.some((own) => INCLUDED[own]?.includes(role))) return null
  return `This needs a key with the role ${role}; yours has ${roles.join(', ')}.`
}

export async function logIn(key: string): Promise<void> {
  queries.setQueryData<Session | null>(KEY, await hub.post<Session>('/console/session', { key }))
}

export async function logOut(): Promise<void> {
  await hub.delete('/console/session')
  // nothing that the last one has seen stays for the next
  queries.clear()
  location.reload()
}

/** What is inside, for those who are logged in; else the login. */
export function WithSession({ children }: { children: ReactNode }) {
  const client = useQueryClient()
  useEffect(
    () =>
      onSignedOut(() => {
        client.setQueryData(KEY, null)
      }),
    [client],
  )
  const { data, error, isPending, refetch } = useQuery<Session | null>({
    queryKey: KEY,
    queryFn: async ({ signal }) => {
      try {
        return await hub.get<Session>('/console/session', {}, signal)
      } catch (failed) {
        if (failed instanceof Problem && failed.status === 401) return null
        throw failed
      }
    },
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  })
  if (isPending) return <Loading />
  if (error !== null && data === undefined) return <ErrorNotice error={error} retry={() => void refetch()} />
  if (!data) return <Login />
  return <Current value={data}>{children}</Current>
}
