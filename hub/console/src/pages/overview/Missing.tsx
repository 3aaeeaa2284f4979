import { List, Stack, Title } from '@mantine/core'

import { PARTS } from './words'

/** What the hub does not know now, and why. Nothing when it knows all. */
export function Missing({ missing }: { missing: Record<string, string> }) {
  const parts = Object.entries(missing)
  if (parts.length === 0) return null
  return (
    <Stack gap={4} className="hub-panel" role="alert" style={{ borderColor: 'var(--hub-warn)' }}>
      <Title order={2} c="var(--hub-warn)">
        Not known now
      </Title>
      <List size="sm" spacing={2} style={{ overflowWrap: 'anywhere' }}>
        {parts.map(([part, why]) => (
          <List.Item key={part}>
            <b>{PARTS[part] ?? part.replaceAll('_', ' ')}</b>: {why}
          </List.Item>
        ))}
      </List>
    </Stack>
  )
}
