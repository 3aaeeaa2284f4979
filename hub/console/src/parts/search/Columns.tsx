import { Button, CloseButton, Group, Popover, Stack, Text } from '@mantine/core'
import { IconColumns3 } from '@tabler/icons-react'

import { AddField } from './Facets'
import { useFields } from './useCompletions'

interface Props {
  kind: string
  fields: string[]
  onFields: (fields: string[]) => void
}

/** Which fields are columns of a table. */
export function Columns(props: Props) {
  return (
    <Popover position="bottom-end" width={280} shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button variant="default" leftSection={<IconColumns3 size={14} aria-hidden />}>
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns">
        <Chosen {...props} />
      </Popover.Dropdown>
    </Popover>
  )
}

/** Asks for the fields that there are, so only once it is looked at. */
function Chosen({ kind, fields, onFields }: Props) {
  const known = useFields(kind, true)
  return (
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
  )
}
