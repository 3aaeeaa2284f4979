import { useLocation } from 'wouter'

/**
 * The id that an address of a page ends with: `/profiles/…`. As `useParams` has it some characters stay escaped, such as
 * the @ of an e-mail address.
 *
 * Args: begin: what stands before it, below /console.
 */
export function useIdOf(begin: string): string {
  useLocation()
  const escaped = location.pathname.slice(`/console${begin}`.length)
  try {
    return decodeURIComponent(escaped)
  } catch {
    return escaped
  }
}
