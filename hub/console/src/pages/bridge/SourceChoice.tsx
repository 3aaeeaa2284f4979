import { Button, Group, Select, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'

import { useGet } from '../../api/hooks'
import { NewSource } from '../sources/NewSource'
import { nameOf, type SourceEntry } from '../sources/types'

interface Props {
  value: string
  onChange: (id: string) => void
  error: string | undefined
}

/** The event source that messages belong to: one of those that queues may use, or a new one. */
export function SourceChoice({ value, onChange, error }: Props) {
  const [isOpen, { open, close }] = useDisclosure()
  const sources = useGet<{ items: SourceEntry[] }>('/definitions/source')
  const usable = sources.data?.items.filter(({ spec, id }) => spec.type.includes('bridge') || id === value) ?? []
  return (
    <Stack gap={4}>
      <Group align="flex-end" gap="sm" wrap="nowrap">
        <Select
          label="Event source"
          description="Whose events these are, where a message does not say so itself."
          placeholder={usable.length === 0 ? 'There is none yet' : 'Choose one'}
          data={usable.map((one) => ({ value: one.id, label: nameOf(one) }))}
          value={value || null}
          required
          searchable
          error={error ?? null}
          onChange={(id) => { onChange(id ?? '') }}
          style={{ flex: 1 }}
        />
        <Button variant="default" size="sm" onClick={open}>
          New source
        </Button>
      </Group>
      {usable.length === 0 && sources.isSuccess && (
        <Text size="sm" c="dimmed">
          Make one first: a name is enough.
        </Text>
      )}
      <NewSource opened={isOpen} close={close} onMade={onChange} />
    </Stack>
  )
}
