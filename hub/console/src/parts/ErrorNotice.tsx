import { Button, Group, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'

import { Problem } from '../api/client'

/** What went wrong, in words, and what may be done. Nothing when there is no error. */
export function ErrorNotice({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === null || error === undefined) return null
  const { title, detail, where } = words(error)
  return (
    <Group
      role="alert"
      gap="sm"
      wrap="nowrap"
      align="flex-start"
      p="sm"
      style={{ background: 'var(--hub-bad-back)', border: '1px solid var(--hub-bad)', borderRadius: 6 }}
    >
      <IconAlertTriangle size={18} color="var(--hub-bad)" style={{ flex: 'none', marginTop: 1 }} aria-hidden />
      <Stack gap={2} style={{ minWidth: 0, flex: 1, overflowWrap: 'anywhere' }}>
        <Text fw={600}>{title}</Text>
        {detail !== '' && detail !== title && <Text>{detail}</Text>}
        {where !== '' && <Text c="dimmed">{where}</Text>}
      </Stack>
      {retry && (
        <Button variant="default" onClick={retry} style={{ flex: 'none' }}>
          Try again
        </Button>
      )}
    </Group>
  )
}

function words(error: unknown): { title: string; detail: string; where: string } {
  if (!(error instanceof Problem)) return { title: 'The console has failed.', detail: String(error), where: '' }
  const { more } = error
  const places = [
    typeof more['where'] === 'string' ? `At ${more['where']}` : '',
    typeof more['line'] === 'number' ? `Line ${more['line']}, column ${String(more['column'])}` : '',
    Array.isArray(more['expected']) && more['expected'].length ? `Expected: ${more['expected'].join(', ')}` : '',
  ]
  return {
    title: error.status === 403 ? 'Your key may not do this.' : error.title || `The hub answers ${error.status}.`,
    detail: error.message,
    // of queries the hub says it in its words, too
    where: error.message.startsWith('line ') ? '' : places.filter(Boolean).join('. '),
  }
}
