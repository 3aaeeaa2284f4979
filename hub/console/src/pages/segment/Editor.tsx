import { Button, Group, Stack, Switch, Textarea, TextInput } from '@mantine/core'
import { type FormEvent, useRef, useState } from 'react'

import { hub, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { mono } from '../../parts/mono'
import { Completed } from '../../parts/search/Completed'
import { Preview } from './Preview'
import type { SegmentSpec } from './types'

const NEW: SegmentSpec = { name: '', description: '', enabled: true, condition: '' }

interface Props {
  /** Its definition as it is; none: a new one is made. */
  existing?: { id: string; version: number; spec: SegmentSpec }
  onSaved: (id: string) => void
  onCancel: () => void
}

/** Name, condition and what that would give, before anything is saved. */
export function Editor({ existing, onSaved, onCancel }: Props) {
  const [spec, setSpec] = useState<SegmentSpec>({ ...NEW, ...existing?.spec })
  const [given, setGiven] = useState<string | null>(null)
  const condition = useRef<HTMLTextAreaElement>(null)
  const id = existing?.id ?? given ?? slug(spec.name)
  const save = useChange(
    () =>
      hub.put(
        path`/definitions/segment/${id}`,
        { ...existing?.spec, ...spec, condition: spec.condition?.trim() || null },
        // nobody's change is overwritten unseen, and no segment by a new one of its name
        { headers: existing ? { 'If-Match': `"${existing.version}"` } : { 'If-None-Match': '*' } },
      ),
    ['/segments', '/definitions'],
  )
  const set = (change: Partial<SegmentSpec>) => {
    setSpec({ ...spec, ...change })
  }
  const go = () => {
    if (id !== '') save.mutate(undefined, { onSuccess: () => { onSaved(id) } })
  }
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault()
        go()
      }}
    >
      <Stack gap="sm">
        <Group align="flex-start" grow preventGrowOverflow={false} wrap="wrap">
          <TextInput
            label="Name"
            description="For people: it is in the events that tell of it."
            required
            autoFocus
            value={spec.name}
            onChange={(event) => { set({ name: event.currentTarget.value }) }}
            style={{ minWidth: 220 }}
          />
          {existing === undefined && (
            <TextInput
              label="Id"
              description="In queries, flows and profiles; it stays."
              styles={mono}
              value={id}
              onChange={(event) => { setGiven(event.currentTarget.value) }}
              style={{ minWidth: 180 }}
            />
          )}
        </Group>
        <Completed
          kind="profiles"
          value={spec.condition ?? ''}
          onChange={(condition) => { set({ condition }) }}
          input={condition}
          more={{
            label: 'Condition',
            description: (
              <>
                On the profile, such as <code>traits.spent &gt; 500</code> or <code>count(purchase) in last 30 days &gt;= 2</code>. Fields that
                profiles have are offered while you type.
              </>
            ),
            autosize: true,
            minRows: 2,
            maxRows: 12,
            styles: mono,
          }}
        />
        <Preview condition={spec.condition ?? ''} />
        <Textarea
          label="Description"
          autosize
          minRows={1}
          maxRows={6}
          value={spec.description}
          onChange={(event) => { set({ description: event.currentTarget.value }) }}
        />
        <Switch
          label="Switched on: profiles enter and leave"
          checked={spec.enabled}
          onChange={(event) => { set({ enabled: event.currentTarget.checked }) }}
        />
        <ErrorNotice error={save.error} />
        <Group>
          <ActionButton needs="admin" loading={save.isPending} onClick={go} refusal={id === '' ? 'Give it a name first.' : null}>
            {existing ? 'Save' : 'Create segment'}
          </ActionButton>
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

/** Big spenders → big-spenders */
function slug(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 100)
}
