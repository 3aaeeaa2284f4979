import { Anchor, SimpleGrid, Stack } from '@mantine/core'
import { Link } from 'wouter'

import { path, url } from '../../api/client'
import { useGet } from '../../api/hooks'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { StateBadge } from '../../parts/StateBadge'
import { BalanceSheet } from './BalanceSheet'
import { Figures } from './Figures'
import { LastHour } from './LastHour'
import { Missing } from './Missing'
import { Processes } from './Processes'
import { SteeredPanel } from './SteeredPanel'
import type { Told } from './types'
import { DeadLettersPanel, TasksPanel } from './Waiting'
import { verdict } from './words'

const EVERY_MS = 2_000

export default function Overview() {
  const overview = useGet<Told>('/overview', {}, { every: EVERY_MS })
  const told = overview.data
  return (
    <>
      <PageHeader
        title="Overview"
        about="Was anything lost, and is everything running? Renewed every 2 s."
        badge={told && <StateBadge {...verdict(told)} />}
      />
      <Stack gap="sm">
        <ErrorNotice error={overview.error} retry={() => void overview.refetch()} />
        {told === undefined ? overview.isPending && <Loading /> : <All told={told} />}
      </Stack>
    </>
  )
}

function All({ told }: { told: Told }) {
  const isEmpty = told.totals?.received === 0
  return (
    <>
      <Missing missing={told.missing} />
      {isEmpty ? (
        <EmptyState title="No event has come yet" action={{ label: 'Send the first event', to: '/start' }}>
          The guide has a snippet that works when pasted, and takes two minutes. Or connect a queue: see{' '}
          <Anchor component={Link} href="/bridges" inherit>
            Bridges
          </Anchor>
          .
        </EmptyState>
      ) : (
        <>
          <Figures told={told} />
          <BalanceSheet told={told} />
        </>
      )}
      <Processes told={told} />
      <SimpleGrid cols={{ base: 1, xs: 2, lg: 4 }} spacing="sm">
        <DeadLettersPanel letters={told.dead_letters} />
        <SteeredPanel
          title="Bridges"
          steered={told.bridges}
          to={(id) => path`/bridges/${id}`}
          empty={
            <>
              No queue is connected.{' '}
              <Anchor component={Link} href="/bridges" inherit>
                Connect one
              </Anchor>
            </>
          }
        />
        <SteeredPanel
          title="Destinations"
          steered={told.destinations}
          to={(id) => url('/definitions', { kind: 'destination', id })}
          empty={
            <>
              Nothing is sent on.{' '}
              <Anchor component={Link} href="/definitions?kind=destination" inherit>
                Define one
              </Anchor>
            </>
          }
        />
        <TasksPanel tasks={told.tasks} />
      </SimpleGrid>
      {!isEmpty && <LastHour />}
    </>
  )
}
