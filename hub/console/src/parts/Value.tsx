import { Anchor, Text } from '@mantine/core'

/** An address that a browser may be sent to; null for all other text. */
export function webAddress(text: string): string | null {
  if (!/^https?:\/\//i.test(text)) return null
  try {
    const { protocol, href } = new URL(text)
    return protocol === 'http:' || protocol === 'https:' ? href : null
  } catch {
    return null
  }
}

/** What an event or a profile carries in a field: always text; a link only to http and https. Args: most: characters. */
export function Value({ value, most = 200 }: { value: unknown; most?: number }) {
  if (value === undefined) return <Text component="span" c="dimmed">–</Text>
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const shown = text.length > most ? `${text.slice(0, most)}…` : text
  const to = typeof value === 'string' ? webAddress(value) : null
  if (to !== null) {
    return (
      <Anchor href={to} target="_blank" rel="noopener noreferrer nofollow" inherit title={text} style={{ overflowWrap: 'anywhere' }}>
        {shown}
      </Anchor>
    )
  }
  return (
    <span style={{ overflowWrap: 'anywhere' }} {...(shown === text ? {} : { title: text.slice(0, 2_000) })}>
      {shown}
    </span>
  )
}
