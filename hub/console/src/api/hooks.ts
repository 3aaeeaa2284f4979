import {
  keepPreviousData,
  QueryClient,
  useInfiniteQuery,
  useMutation,
  type UseMutationResult,
  useQuery,
  useQueryClient,
  type UseQueryResult,
} from '@tanstack/react-query'
import { useMemo } from 'react'

import { hub, Problem, type Query } from './client'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      // a refusal stays one; whoever restarts is back in seconds
      retry: (count, error) => count < 2 && error instanceof Problem && [0, 502, 503].includes(error.status),
      refetchOnWindowFocus: true,
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
})

interface How {
  /** Ask again after so many ms; not while the tab is hidden. */
  every?: number | false
  enabled?: boolean
}

/** One JSON document. Its key is [path, query], so `useChange` with `again: [path]` refreshes it. */
export function useGet<T>(to: string, query: Query = {}, how: How = {}): UseQueryResult<T> {
  return useQuery<T>({
    queryKey: [to, query],
    queryFn: ({ signal }) => hub.get<T>(to, query, signal),
    placeholderData: keepPreviousData,
    refetchInterval: how.every ?? false,
    enabled: how.enabled ?? true,
  }) as UseQueryResult<T>
}

export interface Page<T> {
  items: T[]
  next: string | null
}

/** Lists with a cursor: `items` of all pages so far, `more()` while `hasMore`. */
export function useList<T>(to: string, query: Query = {}, how: How = {}) {
  const found = useInfiniteQuery({
    queryKey: [to, query],
    queryFn: ({ pageParam, signal }) => hub.get<Page<T>>(to, { ...query, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
    refetchInterval: how.every ?? false,
    enabled: how.enabled ?? true,
  })
  const items = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data])
  return {
    items,
    error: found.error,
    isPending: found.isPending,
    isFetching: found.isFetching,
    /** They are of what was asked before. */
    isOld: found.isPlaceholderData,
    hasMore: found.hasNextPage,
    isFetchingMore: found.isFetchingNextPage,
    more: () => void found.fetchNextPage(),
    refetch: () => void found.refetch(),
  }
}

/** Do something; afterwards what was read below `again` is read anew. */
export function useChange<T, A = void>(change: (asked: A) => Promise<T>, again: string[] = []): UseMutationResult<T, Error, A> {
  const client = useQueryClient()
  return useMutation<T, Error, A>({
    mutationFn: change,
    onSettled: () =>
      client.invalidateQueries({
        predicate: ({ queryKey }) => again.some((begin) => String(queryKey[0]).startsWith(begin)),
      }),
  })
}
