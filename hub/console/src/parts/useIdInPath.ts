import { useParams } from 'wouter'

/** The `:id` at the end of the page's address, whatever is in it: the router leaves some characters escaped, such as @. */
export function useIdInPath(): string {
  const { id = '' } = useParams<{ id: string }>()
  const end = location.pathname.split('/').pop() ?? ''
  try {
    return decodeURIComponent(end)
  } catch {
    return id
  }
}
