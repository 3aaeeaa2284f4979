import '../parts.css'

import { ActionIcon, Button, Group, Select, Stack, Text, Tooltip, UnstyledButton, VisuallyHidden } from '@mantine/core'
import { IconFilterMinus, IconX } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'

import { hub } from '../../api/client'
import { ErrorNotice } from '../ErrorNotice'
import { count } from '../numbers'
import { narrowed, type Scalar, tally } from './language'
import { type Field, useFields } from './useCompletions'

const SHOWN = 6

interface Props {
  kind: string
  q: string
  /** Fields that are told apart. */
  fields: string[]
  onFields: (fields: string[]) => void
  /** What was found: the values of these are counted at once. */
  documents: unknown[]
  onQuery: (q: string) => void
}

/** Which values fields have, each a click to narrow the search down to it. */
export function Facets({ kind, q, fields, onFields, documents, onQuery }: Props) {
  const known = useFields(kind, documents.length > 0)
  return (
    <Stack gap="sm" component="section" aria-label="Values of fields">
      {fields.map((field) => (
        <Facet
          key={field}
          kind={kind}
          q={q}
          field={field}
          documents={documents}
          onQuery={onQuery}
          onClose={() => {
            onFields(fields.filter((one) => one !== field))
          }}
        />
      ))}
      <AddField known={known} taken={fields} onAdd={(field) => { onFields([...fields, field]) }} label="Add a field to count" />
    </Stack>
  )
}

export function AddField({ known, taken, onAdd, label }: { known: Field[]; taken: string[]; onAdd: (field: string) => void; label: string }) {
  return (
    <Select
      size="xs"
      aria-label={label}
      placeholder={label}
      searchable
      comboboxProps={{ keepMounted: false }}
      value={null}
      limit={50}
      nothingFoundMessage="No document has such a field."
      data={known.map(({ name }) => name).filter((name) => !taken.includes(name))}
      onChange={(field) => {
        if (field !== null) onAdd(field)
      }}
    />
  )
}

interface OneProps extends Omit<Props, 'fields' | 'onFields'> {
  field: string
  onClose: () => void
}

function Facet({ kind, q, field, documents, onQuery, onClose }: OneProps) {
  const [isAll, setIsAll] = useState('')
  const [isLong, setIsLong] = useState(false)
  // whatever is asked for now has to be counted anew, which may take the hub long
  const isAsked = isAll === q + field
  const all = useQuery({
    queryKey: [`/${kind}/values`, { field, q, limit: 50 }],
    queryFn: async ({ signal }) =>
      (await hub.get<{ items: { value: Scalar; count: number }[] }>(`/${kind}/values`, { field, q, limit: 50 }, signal)).items,
    staleTime: 60_000,
    retry: false,
    enabled: isAsked,
  })
  const values = (isAsked && all.data) || tally(documents, field)
  const shown = isLong ? values : values.slice(0, SHOWN)
  return (
    <div>
      <Group justify="space-between" wrap="nowrap" gap={4}>
        <Text size="sm" fw={600} truncate title={field}>
          {field}
        </Text>
        <ActionIcon size={24} aria-label={`Do not count ${field}`} onClick={onClose}>
          <IconX size={14} aria-hidden />
        </ActionIcon>
      </Group>
      {values.length === 0 && documents.length > 0 && (
        <Text size="xs" c="dimmed">
          None of these has it.
        </Text>
      )}
      {shown.map((one) => (
        <Row key={`${typeof one.value} ${one.value}`} field={field} {...one} onTake={(isNot) => { onQuery(narrowed(q, field, one.value, isNot)) }} />
      ))}
      <Group gap="xs" mt={2}>
        {values.length > SHOWN && (
          <Button variant="subtle" size="compact-sm" onClick={() => { setIsLong(!isLong) }}>
            {isLong ? 'Fewer' : `${values.length - SHOWN} more`}
          </Button>
        )}
        {documents.length > 0 && !(isAsked && all.data) && (
          <Tooltip label={`Counted are the ${count(documents.length)} newest that were found. To count all may take a while; of all times.`}>
            <Button variant="subtle" size="compact-sm" loading={all.isFetching} onClick={() => { setIsAll(q + field) }}>
              Count all
            </Button>
          </Tooltip>
        )}
      </Group>
      <ErrorNotice error={isAsked ? all.error : null} />
    </div>
  )
}

function Row({ field, value, count: how, onTake }: { field: string; value: Scalar; count: number; onTake: (isNot: boolean) => void }) {
  const words = value === null ? 'no value' : value === '' ? 'empty text' : String(value)
  return (
    <Group gap={4} wrap="nowrap">
      <UnstyledButton
        className="hub-facet"
        onClick={() => {
          onTake(false)
        }}
        style={{ flex: 1, minWidth: 0, minHeight: 24, padding: '2px 4px', borderRadius: 4 }}
      >
        <Group justify="space-between" wrap="nowrap" gap="xs">
          <VisuallyHidden>Only {field} =</VisuallyHidden>
          <Text size="sm" truncate title={words}>
            {words}
          </Text>
          <Text size="xs" c="dimmed" className="hub-number">
            {count(how)}
          </Text>
        </Group>
      </UnstyledButton>
      <ActionIcon
        size={24}
        aria-label={`Without ${field} = ${words}`}
        onClick={() => {
          onTake(true)
        }}
      >
        <IconFilterMinus size={14} aria-hidden />
      </ActionIcon>
    </Group>
  )
}
