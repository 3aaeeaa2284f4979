import { ScrollArea, Table, Text, UnstyledButton } from '@mantine/core'
import { memo } from 'react'

import { Value } from '../../parts/Value'
import type { Told } from './types'

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

/** What has come, newest first. */
export function Rows({ rows, onOpen }: { rows: Told[]; onOpen: (one: Told) => void }) {
  return (
    <ScrollArea type="auto" viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': 'Events as they come' }}>
      <Table aria-label="Events as they come" layout="fixed" miw={560}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col" w={90}>
              Stored
            </Table.Th>
            <Table.Th scope="col" w={170}>
              Type
            </Table.Th>
            <Table.Th scope="col" w={150}>
              Profile
            </Table.Th>
            <Table.Th scope="col" w={100}>
              Source
            </Table.Th>
            <Table.Th scope="col">Properties</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((one) => (
            <Row key={one.id} one={one} onOpen={onOpen} />
          ))}
        </Table.Tbody>
      </Table>
    </ScrollArea>
  )
}

const Row = memo(function Row({ one, onOpen }: { one: Told; onOpen: (one: Told) => void }) {
  return (
    <Table.Tr>
      <Table.Td className="hub-number">
        <time dateTime={one.received_at} title={one.received_at}>
          {clock.format(new Date(one.received_at))}
        </time>
      </Table.Td>
      <Table.Td>
        <UnstyledButton
          onClick={() => {
            onOpen(one)
          }}
          style={{ display: 'block', minHeight: 24, color: 'var(--mantine-color-anchor)', textDecoration: 'underline', maxWidth: '100%' }}
        >
          <Text size="sm" truncate>
            {one.type}
          </Text>
        </UnstyledButton>
      </Table.Td>
      <Table.Td>
        <Text size="sm" truncate title={one.profile_id ?? ''}>
          {one.profile_id ?? '–'}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" truncate>
          {one.source}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" truncate c="dimmed">
          <Value value={one.properties} />
        </Text>
      </Table.Td>
    </Table.Tr>
  )
})
