import { Group, SimpleGrid, Stack, Text, UnstyledButton } from '@mantine/core'

import { inOrder, type Kind, labelOf } from './types'

/** Which broker, queue or system. */
export function ChooseKind({ kinds, chosen, choose }: { kinds: Kind[]; chosen: string; choose: (type: string) => void }) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm">
      {inOrder(kinds).map(({ type, summary, error, settings }) => (
        <UnstyledButton
          key={type}
          className="hub-panel"
          aria-pressed={type === chosen}
          disabled={settings === null}
          onClick={() => { choose(type) }}
          style={{
            display: 'flex',
            alignItems: 'flex-start',
            ...(type === chosen ? { borderColor: 'var(--hub-note)' } : {}),
            ...(settings === null ? { cursor: 'not-allowed', background: 'var(--hub-page)' } : {}),
          }}
        >
          <Stack gap={2} flex={1}>
            <Group gap="xs" justify="space-between">
              <Text fw={600}>{labelOf(type)}</Text>
              {type === chosen && <Text size="xs">chosen</Text>}
            </Group>
            <Text size="sm" c="dimmed">
              {error === '' ? summary : error}
            </Text>
          </Stack>
        </UnstyledButton>
      ))}
    </SimpleGrid>
  )
}
