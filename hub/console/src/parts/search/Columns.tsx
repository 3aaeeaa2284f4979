import { Button, CloseButton, Group, Popover, Stack, Text } from '@mantine/core'
import { IconColumns3 } from '@tabler/icons-react'

import { AddField } from './Facets'
import { useFields } from './useCompletions'

/** Which fields are columns of a table. */
export function Columns({ kind, fields, onFields }: { kind: string; fields: string[]; onFields: (fields: string[]) => void }) {
  const known = useFields(kind, true)
  return (
    <Popover position="bottom-end" width={280} shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button variant="default" leftSection={<IconColumns3 size={14} aria-hidden />}>
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns">
        <Stack gap={4}>
          {fields.map((field) => (
            <Group key={field} justify="space-between" wrap="nowrap" gap="xs">
              <Text size="sm" ff="monospace" truncate title={field}>
                {field}
              </Text>
              <CloseButton size="sm" aria-label={`Without the column ${field}`} onClick={() => { onFields(fields.filter((one) => one !== field)) }} />
            </Group>
          ))}
          <AddField known={known} taken={fields} onAdd={(field) => { onFields([...fields, field]) }} label="Add a column" />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  )
}
