import { SimpleGrid, Stack, TextInput } from '@mantine/core'

import { SettingsForm } from '../../parts/SettingsForm'
import { idOf } from '../sources/types'
import type { Draft } from './draft'
import { SourceChoice } from './SourceChoice'
import { type Kind, labelOf } from './types'

interface Props {
  draft: Draft
  kind: Kind
  /** By setting, or `id`, `source`, `condition`. */
  errors: Record<string, string>
  change: (change: Partial<Draft>) => void
}

/** What it is called, where it is, who we are there. */
export function SettingsStep({ draft, kind, errors, change }: Props) {
  const isNew = draft.version === null
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Name"
          description="What people call it."
          placeholder={`Orders from ${labelOf(kind.type)}`}
          value={draft.name}
          required
          onChange={(event) => {
            const name = event.currentTarget.value
            // the id follows the name until somebody writes one
            change(isNew && draft.id === idOf(draft.name) ? { name, id: idOf(name) } : { name })
          }}
        />
        <TextInput
          label="Id"
          description={isNew ? 'What commands and the API call it. It cannot be changed.' : 'It cannot be changed.'}
          value={draft.id}
          required
          readOnly={!isNew}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
          error={errors['id'] ?? (isNew && draft.id === 'new' ? 'Another one: the console needs this one itself.' : null)}
          onChange={(event) => { change({ id: event.currentTarget.value }) }}
        />
      </SimpleGrid>
      {draft.of === 'bridge' ? (
        <SourceChoice value={draft.source} error={errors['source']} onChange={(source) => { change({ source }) }} />
      ) : (
        <TextInput
          label="Which events"
          description="A query, such as type = purchase. Empty: all."
          value={draft.condition}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
          spellCheck={false}
          error={errors['condition'] ?? null}
          onChange={(event) => { change({ condition: event.currentTarget.value }) }}
        />
      )}
      <SettingsForm schema={kind.settings!} value={draft.settings} errors={errors} onChange={(settings) => { change({ settings }) }} />
    </Stack>
  )
}
