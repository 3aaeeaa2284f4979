import { Anchor, Button, Code, Group, SimpleGrid, Stack, Text, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useEffect, useState } from 'react'
import { Link, useLocation } from 'wouter'

import { hub, path, Problem, url } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { useRefusal } from '../../app/session'
import { ActionButton } from '../../parts/ActionButton'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { Diff } from '../../parts/Diff'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { JsonEditor } from '../../parts/JsonEditor'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { pretty } from '../../parts/pretty'
import { Time } from '../../parts/Time'
import { Versions } from '../../parts/Versions'
import { Fields } from './Fields'
import type { Kind } from './kinds'
import { exported } from './exported'
import { type Entry, problemsOf } from './types'

/** One definition as JSON: written, compared, saved, with all its versions. `id` null: a new one. */
export function One({ kind, id }: { kind: Kind; id: string | null }) {
  const found = useGet<Entry>(path`/definitions/${kind.kind}/${id ?? ''}`, {}, { enabled: id !== null })
  const above = [{ label: 'Definitions', to: '/definitions' }, { label: kind.title, to: url('/definitions', { kind: kind.kind }) }]
  const isGone = found.error instanceof Problem && found.error.status === 404
  if (id !== null && found.data === undefined && !isGone) {
    return (
      <>
        <PageHeader title={id} above={above} />
        {found.isPending ? <Loading /> : <ErrorNotice error={found.error} retry={() => void found.refetch()} />}
      </>
    )
  }
  const entry = isGone ? undefined : found.data
  return (
    <>
      <PageHeader
        title={id ?? `New: ${kind.title.toLowerCase()}`}
        above={above}
        about={
          entry === undefined ? (
            kind.about
          ) : (
            <>
              {entry.built_in ? 'It comes with the hub.' : <>Version {entry.version}, of <Time at={entry.updated_at_ms} />.</>}{' '}
              {kind.page && (
                <Anchor component={Link} href={kind.page(entry.id)}>
                  Its page
                </Anchor>
              )}
            </>
          )
        }
      >
        {entry !== undefined && <Buttons kind={kind} entry={entry} />}
      </PageHeader>
      <Stack gap="md">
        {isGone && (
          <Text>
            There is no <Code>{id}</Code> now. If it was deleted, one of its versions can be rolled back to.
          </Text>
        )}
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
          <Stack gap="md">{!isGone && <Editor kind={kind} entry={entry} />}</Stack>
          <Stack gap="md">
            {id !== null && !entry?.built_in && (
              <Panel title="Versions">
                <Versions kind={kind.kind} id={id} />
              </Panel>
            )}
            <Fields kind={kind.kind} />
          </Stack>
        </SimpleGrid>
      </Stack>
    </>
  )
}

function Buttons({ kind, entry }: { kind: Kind; entry: Entry }) {
  const [, go] = useLocation()
  const list = url('/definitions', { kind: kind.kind })
  const remove = useChange(() => hub.delete(path`/definitions/${kind.kind}/${entry.id}`), ['/definitions'])
  return (
    <>
      <Button
        variant="default"
        onClick={() => { exported(entry) }}
      >
        Export
      </Button>
      <ConfirmButton
        needs="admin"
        variant="default"
        refusal={entry.built_in ? 'It comes with the hub: to switch it off, save one with "enabled": false.' : null}
        question={`Delete ${entry.id}?`}
        consequence="It is out of force at once. Its versions are kept, so it can be rolled back here."
        confirm="Delete it"
        onConfirm={async () => {
          await remove.mutateAsync()
          go(list)
        }}
      >
        Delete
      </ConfirmButton>
    </>
  )
}

function Editor({ kind, entry }: { kind: Kind; entry: Entry | undefined }) {
  const [, go] = useLocation()
  const [id, setId] = useState(entry?.id ?? '')
  const saved = entry === undefined ? '{\n  "name": ""\n}' : pretty(entry.spec)
  const [text, setText] = useState(saved)
  const [base, setBase] = useState(entry?.version ?? null)
  const refusal = useRefusal('admin')
  const isChanged = text !== saved
  const fault = faultOf(text)
  const isBehind = entry !== undefined && base !== entry.version

  // another version has come: rolled back here, or saved by somebody else. What is being written stays
  useEffect(() => {
    if (entry === undefined || entry.version === base) return
    if (before === null || text === before) {
      setText(pretty(entry.spec))
      setBase(entry.version)
    }
  }, [entry?.version])
  const [before, setBefore] = useState<string | null>(saved)

  const put = useChange(
    () =>
      hub.put<Entry>(path`/definitions/${kind.kind}/${id}`, JSON.parse(text), {
        headers: entry === undefined ? { 'If-None-Match': '*' } : { 'If-Match': `"${base}"` },
      }),
    ['/definitions', `/${kind.kind}s`],
  )

  function submit() {
    put.mutate(undefined, {
      onSuccess: (made) => {
        notifications.show({ message: `Version ${made.version} of ${made.id} is in force.` })
        setText(pretty(made.spec))
        setBefore(pretty(made.spec))
        setBase(made.version)
        if (entry === undefined) go(url('/definitions', { kind: kind.kind, id }))
      },
    })
  }

  return (
    <>
      <Panel title="As JSON">
        <Stack gap="sm">
          {entry === undefined && (
            <TextInput
              label="Id"
              description="It cannot be changed."
              required
              value={id}
              styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
              onChange={(event) => { setId(event.currentTarget.value) }}
              autoFocus
            />
          )}
          <JsonEditor label="Definition" value={text} onChange={setText} problems={problemsOf(put.error)} readOnly={refusal !== null} height={280} />
          {fault !== null && <Text size="sm" c="var(--hub-warn)">It is no JSON object yet: {fault}</Text>}
          {isBehind && (
            <Group gap="sm">
              <Text c="var(--hub-warn)">Somebody has saved version {entry.version} meanwhile.</Text>
              <Button
                variant="default"
                onClick={() => {
                  setText(pretty(entry.spec))
                  setBefore(pretty(entry.spec))
                  setBase(entry.version)
                  put.reset()
                }}
              >
                Take theirs
              </Button>
              <Button variant="default" onClick={() => { setBase(entry.version) }}>
                Go on with mine
              </Button>
            </Group>
          )}
          <ErrorNotice error={put.error} />
          {entry?.warnings !== undefined && entry.warnings.length > 0 && (
            <Text size="sm" c="var(--hub-warn)" style={{ overflowWrap: 'anywhere' }}>
              {entry.warnings.map((warning) => String(warning['detail'] ?? JSON.stringify(warning))).join(' ')}
            </Text>
          )}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" disabled={!isChanged} onClick={() => { setText(saved); put.reset() }}>
              Discard
            </Button>
            <ActionButton
              needs="admin"
              loading={put.isPending}
              refusal={fault !== null ? 'It is no JSON object yet.' : id === '' ? 'Give it an id first.' : entry !== undefined && !isChanged ? 'Nothing has been changed.' : null}
              onClick={submit}
            >
              Save
            </ActionButton>
          </Group>
        </Stack>
      </Panel>
      {entry !== undefined && isChanged && fault === null && (
        <Panel title="What you have changed">
          <Diff label="What you have changed" before={saved} after={text} />
        </Panel>
      )}
    </>
  )
}

/** Why a text is no JSON object; null: it is one. */
function faultOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? null : 'it has to begin with {'
  } catch (failed) {
    return failed instanceof Error ? failed.message : String(failed)
  }
}
