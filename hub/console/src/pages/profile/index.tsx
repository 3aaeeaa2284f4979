import { Anchor, Grid, SimpleGrid, Skeleton, Stack, Tabs, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path, Problem } from '../../api/client'
import { useGet, useList } from '../../api/hooks'
import { CopyButton } from '../../parts/CopyButton'
import { EmptyState } from '../../parts/EmptyState'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Id } from '../../parts/Id'
import { Json } from '../../parts/Json'
import { count, unitOf } from '../../parts/numbers'
import { PageHeader } from '../../parts/PageHeader'
import { literal } from '../../parts/search/language'
import { useAddress } from '../../parts/search/useAddress'
import { Stat } from '../../parts/Stat'
import { TimeAgo } from '../../parts/Time'
import { useIdInPath } from '../../parts/useIdInPath'
import type { EventDocument } from '../events/types'
import { nameOf, type ProfileDocument } from '../profiles/types'
import { ConsentsOf } from './ConsentsOf'
import { DevicesOf } from './DevicesOf'
import { FieldsOf } from './FieldsOf'
import { IdentityOf } from './IdentityOf'
import { Privacy } from './Privacy'
import { Report } from './Report'
import { SegmentsOf } from './SegmentsOf'
import { TimelineOf } from './TimelineOf'

const SIZE = 50
const TABS = [
  ['timeline', 'Timeline'],
  ['fields', 'Fields'],
  ['identity', 'Identity'],
  ['document', 'Document'],
] as const

/** All that is known of one customer. */
export default function Profile() {
  const id = useIdInPath()
  return <One key={id} id={id} />
}

function One({ id }: { id: string }) {
  const address = useAddress()
  const order = address.get('order')
  const found = useGet<ProfileDocument>(path`/profiles/${id}`, {}, { every: 5_000 })
  const events = useList<EventDocument>('/events', { q: `profile.id = ${literal(id)}`, size: SIZE })
  const isGone = found.error instanceof Problem && found.error.status === 404
  const profile = isGone ? undefined : found.data
  const name = profile && nameOf(profile)
  const report = order !== '' && (
    <Report
      order={order}
      profile={id}
      onClose={() => {
        address.set({ order: '' }, { replace: true })
      }}
    />
  )
  const header = (
    <PageHeader title={name || id} above={[{ label: 'Profiles', to: '/profiles' }]} badge={name ? <Id id={profile.id} of="id of the profile" /> : <CopyButton value={profile?.id ?? id} label="Copy id of the profile" />} />
  )
  if (profile === undefined) {
    return (
      <>
        {header}
        <Stack gap="md">
          {report}
          {found.isPending ? (
            <Skeleton height={400} />
          ) : isGone ? (
            <EmptyState title="There is no profile with this id" action={{ label: 'Search profiles', to: '/profiles' }}>
              Nobody has come with it, or they were erased. An event that came a moment ago is here in a moment.
            </EmptyState>
          ) : (
            <ErrorNotice error={found.error} retry={() => void found.refetch()} />
          )}
        </Stack>
      </>
    )
  }
  const { visit, insert, update } = profile.metadata.time
  return (
    <>
      {header}
      <Stack gap="md">
        <ErrorNotice error={found.error} />
        {report}
        {profile.id !== id && (
          <Text role="note">
            {id} has become part of{' '}
            <Anchor component={Link} href={path`/profiles/${profile.id}`} inherit>
              {profile.id}
            </Anchor>
            , which is shown here.
          </Text>
        )}
        <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm">
          <Stat label="Events" value={count(profile.stats.events)} unit={unitOf(profile.stats.events, 'event')} />
          <Stat label="Visits" value={count(profile.stats.visits)} unit={unitOf(profile.stats.visits, 'visit')} />
          <Stat label="First seen" value={<Small at={visit.first ?? insert} />} />
          <Stat label="Last changed" value={<Small at={update} />} />
        </SimpleGrid>
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 8 }}>
            <section className="hub-panel" aria-label="Of this profile">
              <Tabs
                value={address.get('tab') || 'timeline'}
                keepMounted={false}
                onChange={(tab) => {
                  address.set({ tab: tab === 'timeline' ? '' : (tab ?? '') }, { replace: true })
                }}
              >
                <Tabs.List mb="sm" className="hub-tabs">
                  {TABS.map(([tab, title]) => (
                    <Tabs.Tab key={tab} value={tab}>
                      {title}
                    </Tabs.Tab>
                  ))}
                </Tabs.List>
                <Tabs.Panel value="timeline">
                  <TimelineOf id={profile.id} found={events} />
                </Tabs.Panel>
                <Tabs.Panel value="fields">
                  <FieldsOf profile={profile} />
                </Tabs.Panel>
                <Tabs.Panel value="identity">
                  <IdentityOf id={profile.id} />
                </Tabs.Panel>
                <Tabs.Panel value="document">
                  <Json value={profile} label="the profile as it is stored" most={640} />
                </Tabs.Panel>
              </Tabs>
            </section>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 4 }}>
            <Stack gap="md">
              <SegmentsOf profile={profile} />
              <ConsentsOf profile={profile} />
              <DevicesOf events={events.items} hasMore={events.hasMore} />
              <Privacy
                id={profile.id}
                onAsked={(asked) => {
                  address.set({ order: asked }, { replace: true })
                }}
              />
            </Stack>
          </Grid.Col>
        </Grid>
      </Stack>
    </>
  )
}

function Small({ at }: { at: string | null }) {
  return (
    <Text component="span" fz={15} fw={600}>
      <TimeAgo at={at} />
    </Text>
  )
}
