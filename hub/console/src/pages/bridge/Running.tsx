import { Button, Code, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import { Link, useLocation } from 'wouter'

import { hub, path, Problem, url } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ConfirmButton } from '../../parts/ConfirmButton'
import { CopyButton } from '../../parts/CopyButton'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Json } from '../../parts/Json'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { literal } from '../../parts/search/language'
import { StateBadge } from '../../parts/StateBadge'
import { Versions } from '../../parts/Versions'
import { Numbers } from './Numbers'
import { Parts } from './Parts'
import { Rewind } from './Rewind'
import { Trial } from './Trial'
import { type Definition, labelOf, type Line, nameOf, type Of } from './types'

const EVERY_MS = 2_000

/** A bridge or a destination that is defined: how it is, and what can be done about it. */
export function Running({ of, id }: { of: Of; id: string }) {
  const [, go] = useLocation()
  const all = `/${of}s`
  const above = { label: of === 'bridge' ? 'Bridges' : 'Destinations', to: of === 'bridge' ? '/bridges' : '/bridges?tab=destinations' }
  const line = useGet<Line>(path`/${of}s/${id}`, {}, { every: EVERY_MS })
  const definition = useGet<Definition>(path`/definitions/${of}/${id}`)
  const again = [all, path`/definitions/${of}`]
  const act = useChange((what: 'start' | 'pause' | 'resume') => hub.post(path`/${of}s/${id}/${what}`), again)
  const remove = useChange(() => hub.delete(path`/definitions/${of}/${id}`), again)

  if (line.data === undefined) {
    const isGone = line.error instanceof Problem && line.error.status === 404
    return (
      <>
        <PageHeader title={id} above={[above]} />
        {line.isPending ? (
          <Loading />
        ) : isGone ? (
          <EmptyState title={`There is no ${of} with this id`} action={{ label: `All ${of}s`, to: above.to }}>
            Nobody has defined <Code>{id}</Code>, or it was deleted.
          </EmptyState>
        ) : (
          <ErrorNotice error={line.error} retry={() => void line.refetch()} />
        )}
      </>
    )
  }
  const now = line.data
  const isBroken = now.state === 'failed'
  return (
    <>
      <PageHeader
        title={nameOf(now)}
        above={[above]}
        badge={<StateBadge state={now.state} {...(now.hint ? { hint: now.hint } : {})} />}
        about={
          <Group gap={4} component="span">
            {labelOf(now.type)} <Code>{id}</Code> <CopyButton value={id} label="Copy the id" />
          </Group>
        }
      >
        {of === 'bridge' && (
          <Button component={Link} href={url('/events', { q: `metadata.origin STARTS WITH ${literal(`bridge:${id}:`)}` })} variant="default">
            Its events
          </Button>
        )}
        {isBroken && (
          <ActionButton needs="operate" loading={act.isPending} onClick={() => { act.mutate('start') }}>
            Try again now
          </ActionButton>
        )}
        {now.enabled ? (
          <ActionButton needs="operate" variant="default" loading={act.isPending} onClick={() => { act.mutate('pause') }}>
            Pause
          </ActionButton>
        ) : (
          <ActionButton needs="operate" loading={act.isPending} onClick={() => { act.mutate('resume') }}>
            Start
          </ActionButton>
        )}
        <ActionButton needs="admin" variant="default" onClick={() => { go(url(path`/bridges/${id}`, { edit: 1, of: of === 'bridge' ? null : of })) }}>
          Edit
        </ActionButton>
        <Rewind of={of} line={now} />
        <ConfirmButton
          needs="admin"
          variant="default"
          question={`Delete ${nameOf(now)}?`}
          consequence={
            of === 'bridge'
              ? 'Nothing more is read; what is stored stays stored, what waits in the queue stays there. Its versions are kept: it can be rolled back under Definitions.'
              : 'Nothing more is sent. Its versions are kept: it can be rolled back under Definitions.'
          }
          confirm="Delete it"
          onConfirm={async () => {
            await remove.mutateAsync()
            go(above.to)
          }}
        >
          Delete
        </ConfirmButton>
      </PageHeader>
      <Stack gap="md">
        <ErrorNotice error={act.error ?? line.error} />
        {now.last_error !== null && isBroken && <ErrorNotice error={new Problem(422, 'It does not run.', now.last_error)} />}
        {now.hint !== '' && (
          <Text c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {now.hint}
          </Text>
        )}
        <Numbers line={now} of={of} />
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
          <Stack gap="md">
            {now.parts.length > 0 && <Parts line={now} />}
            {definition.data !== undefined && <Trial of={of} id={id} kind={now.type} condition={String(definition.data.spec['condition'] ?? '')} />}
          </Stack>
          <Stack gap="md">
            <Panel title="Definition" aside={<Button component={Link} href={url('/definitions', { kind: of, id })} variant="default">Edit as JSON</Button>}>
              {definition.data === undefined ? <Loading /> : <Json value={definition.data.spec} label={`Definition of ${id}`} most={320} />}
            </Panel>
            <Panel title="Versions">
              <Versions kind={of} id={id} again={[all]} />
            </Panel>
          </Stack>
        </SimpleGrid>
      </Stack>
    </>
  )
}
