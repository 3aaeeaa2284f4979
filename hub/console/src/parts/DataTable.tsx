import './parts.css'

import { Button, Center, Group, ScrollArea, Table, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

import { ErrorNotice } from './ErrorNotice'
import { Loading } from './Loading'

export interface Column<T> {
  title: string
  cell: (row: T) => ReactNode
  /** Numbers stand on the right. */
  right?: boolean
  /** It has the space that others leave, and cuts off what is longer. */
  fill?: boolean
  width?: number | string
}

interface Props<T> {
  /** What the table shows, for those who do not see it. */
  label: string
  columns: Column<T>[]
  rows: T[]
  id: (row: T) => string
  /** Where a row leads; its first cell becomes the link. */
  to?: (row: T) => string
  /** An EmptyState, or words: shown when there are no rows. */
  empty: ReactNode
  isPending?: boolean
  error?: unknown
  retry?: () => void
  hasMore?: boolean
  isFetchingMore?: boolean
  more?: () => void
}

/** Rows of a list; goes with `useList`: `<DataTable {...useList('/events')} …>`, items given as rows. */
export function DataTable<T>(props: Props<T>) {
  const { label, columns, rows, id, to, empty, isPending, error, retry, hasMore, isFetchingMore, more } = props
  if (error !== null && error !== undefined) return <ErrorNotice error={error} {...(retry ? { retry } : {})} />
  if (isPending) return <Loading />
  if (rows.length === 0) return typeof empty === 'string' ? <Text c="dimmed">{empty}</Text> : empty
  return (
    <>
      <ScrollArea type="auto" offsetScrollbars="present" viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': label }}>
        <Table highlightOnHover={to !== undefined} aria-label={label}>
          <Table.Thead>
            <Table.Tr>
              {columns.map(({ title, right, width }) => (
                <Table.Th key={title} scope="col" ta={right ? 'right' : 'left'} {...(width ? { w: width } : {})}>
                  {title}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((row) => (
              <Table.Tr key={id(row)}>
                {columns.map(({ title, cell, right, fill }, n) => (
                  <Table.Td key={title} ta={right ? 'right' : 'left'} {...(right ? { className: 'hub-number' } : fill ? { className: 'hub-fill' } : {})}>
                    {n === 0 && to ? (
                      <Link href={to(row)} style={{ color: 'var(--mantine-color-anchor)' }}>
                        {cell(row)}
                      </Link>
                    ) : (
                      cell(row)
                    )}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollArea>
      {hasMore && (
        <Center mt="sm">
          <Group>
            <Button variant="default" loading={isFetchingMore ?? false} onClick={() => more?.()}>
              Show more
            </Button>
          </Group>
        </Center>
      )}
    </>
  )
}
