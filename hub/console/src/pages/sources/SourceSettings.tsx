import { Anchor, Button, Group, MultiSelect, NumberInput, Stack, Switch, TagsInput, Text, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useEffect, useState } from 'react'
import { Link } from 'wouter'

import { hub, path, url } from '../../api/client'
import { useChange } from '../../api/hooks'
import { useRefusal } from '../../app/session'
import { ActionButton } from '../../parts/ActionButton'
import { CopyButton } from '../../parts/CopyButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { DOORS, newWriteKey, type SourceEntry, type SourceSpec } from './types'

/** The settings of a source that people change most; all others are on the page of its definition. */
export function SourceSettings({ source }: { source: SourceEntry }) {
  const [spec, setSpec] = useState<SourceSpec>(source.spec)
  useEffect(() => {
    setSpec(source.spec)
  }, [source.id, source.version])
  const refusal = useRefusal('admin')
  const readOnly = refusal !== null
  const save = useChange(
    () => hub.put(path`/definitions/source/${source.id}`, spec, { headers: { 'If-Match': `"${source.version}"` } }),
    ['/definitions/source'],
  )
  const set = (change: Partial<SourceSpec>) => {
    setSpec({ ...spec, ...change } as SourceSpec)
  }
  const changed = JSON.stringify(spec) !== JSON.stringify(source.spec)
  return (
    <Stack gap="sm">
      <TextInput label="Name" value={spec.name} readOnly={readOnly} onChange={(event) => { set({ name: event.currentTarget.value }) }} />
      <MultiSelect
        label="Doors"
        description="The ways that its events may come."
        data={DOORS}
        value={spec.type}
        readOnly={readOnly}
        onChange={(type) => { set({ type }) }}
      />
      <TagsInput
        label="Write keys"
        description="Say to clients of Segment, RudderStack or PostHog which source they are. No secrets: every page shows its own."
        placeholder="Type one and press Enter"
        value={spec.write_keys}
        readOnly={readOnly}
        clearButtonProps={{ 'aria-label': 'Remove all write keys' }}
        onChange={(write_keys) => { set({ write_keys }) }}
      />
      <Group gap="xs">
        <Button variant="default" disabled={readOnly} onClick={() => { set({ write_keys: [...spec.write_keys, newWriteKey()] }) }}>
          Make a write key
        </Button>
        {spec.write_keys[0] !== undefined && <CopyButton value={spec.write_keys[0]} label="Copy the first write key" />}
      </Group>
      <TagsInput
        label="Allowed origins"
        description="Pages that may send, such as https://shop.example. Empty: all."
        placeholder="https://shop.example"
        value={spec.allowed_origins}
        readOnly={readOnly}
        clearButtonProps={{ 'aria-label': 'Remove all origins' }}
        onChange={(allowed_origins) => { set({ allowed_origins }) }}
      />
      <NumberInput
        label="Most events a second"
        description="That each API process takes; then senders are told to wait (429). 0: no limit."
        suffix=" events/s"
        min={0}
        max={1_000_000}
        value={spec.rate_limit}
        readOnly={readOnly}
        onChange={(value) => { set({ rate_limit: Number(value) || 0 }) }}
      />
      <Switch
        label="Enabled"
        description="Switched off, whatever it sends is refused (401), and senders keep it."
        checked={spec.enabled}
        disabled={readOnly}
        onChange={(event) => { set({ enabled: event.currentTarget.checked }) }}
      />
      <ErrorNotice error={save.error} />
      <Group justify="space-between">
        <Anchor component={Link} href={url('/definitions', { kind: 'source', id: source.id })} size="sm">
          All settings, history
        </Anchor>
        <Group gap="xs">
          <Button variant="default" disabled={!changed} onClick={() => { setSpec(source.spec) }}>
            Discard
          </Button>
          <ActionButton
            needs="admin"
            loading={save.isPending}
            refusal={changed ? null : 'Nothing has been changed.'}
            onClick={() => {
              save.mutate(undefined, {
                onSuccess: () => notifications.show({ message: 'Saved. Every process knows within a second.' }),
              })
            }}
          >
            Save
          </ActionButton>
        </Group>
      </Group>
      {readOnly && (
        <Text size="sm" c="dimmed">
          {refusal}
        </Text>
      )}
    </Stack>
  )
}
