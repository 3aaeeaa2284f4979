import { Anchor, Group, Stack, Text, Timeline, Title } from '@mantine/core'
import {
  IconArrowRampRight,
  IconDatabase,
  IconFingerprint,
  IconListCheck,
  IconPlayerPlay,
  IconServer,
  IconUser,
  IconUsersGroup,
} from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

import { path } from '../../api/client'
import { cameThrough } from '../../parts/cameThrough'
import { Facts } from '../../parts/Facts'
import { Id } from '../../parts/Id'
import { bytes, count } from '../../parts/numbers'
import { StateBadge } from '../../parts/StateBadge'
import { Time } from '../../parts/Time'
import { Changes } from './Changes'
import { Rules } from './Rules'
import type { Trace } from './types'

/** What happened to one event, step by step. */
export function Story({ trace }: { trace: Trace }) {
  return (
    <Timeline active={99} bulletSize={26} lineWidth={2} color="thames">
      {steps(trace).map(({ key, title, icon, at, after, children }) => (
        <Timeline.Item key={key} bullet={icon} title={<Head title={title} at={at} after={after} />}>
          {children}
        </Timeline.Item>
      ))}
    </Timeline>
  )
}

interface Step {
  key: string
  title: string
  icon: ReactNode
  at?: string | undefined
  /** Since the step before it. */
  after?: number | null | undefined
  children: ReactNode
}

function Head({ title, at, after }: { title: string; at?: string | undefined; after?: number | null | undefined }) {
  return (
    <span style={{ display: 'flex', flexWrap: 'wrap', gap: '0 12px', alignItems: 'baseline' }}>
      <Title order={3}>{title}</Title>
      {at !== undefined && (
        <Text component="span" size="sm" c="dimmed">
          <Time at={at} />
          {after !== null && after !== undefined && <span title="since the step above"> ({after < 0 ? `${after} ms: clocks differ` : `+${count(after)} ms`})</span>}
        </Text>
      )}
    </span>
  )
}

const icon = (Icon: typeof IconUser) => <Icon size={14} aria-hidden />

function steps(trace: Trace): Step[] {
  const { edge, log, identity, profile, session, segments, flows, dead_letter: letter } = trace
  const time = (step: string) => trace.times.find((one) => one.step === step)
  const timed = (step: string) => ({ at: time(step)?.at, after: time(step)?.after_ms })
  const made: Step[] = []
  if (time('happened')) {
    made.push({ key: 'happened', title: 'Happened', icon: icon(IconPlayerPlay), ...timed('happened'), children: <Note>as its sender says</Note> })
  }
  made.push({
    key: 'received',
    title: 'Received at the edge',
    icon: icon(IconArrowRampRight),
    ...timed('received'),
    children: (
      <Facts
        of={{
          Source: edge.source,
          ...cameThrough(edge),
          Payload: <Id id={edge.payload_id} of="id of the payload" />,
          'Id of the client': edge.client_id,
        }}
      />
    ),
  })
  made.push({
    key: 'logged',
    title: 'Written to Kafka',
    icon: icon(IconServer),
    ...timed('logged'),
    children: (
      <>
        <Facts
          of={{
            Topic: log.topic,
            Record: `partition ${log.partition}, offset ${count(log.offset)}, event ${log.place + 1} of it`,
            Key: log.record?.key,
            Size: log.record && bytes(log.record.value_bytes),
          }}
        />
        <Note>{log.note}.</Note>
        {time('logged') && <Note>The time is {time('logged')?.clock}.</Note>}
      </>
    ),
  })
  if (letter) {
    made.push({
      key: 'dead',
      title: 'Could not be taken',
      icon: icon(IconListCheck),
      at: letter.at,
      children: (
        <>
          <StateBadge state={letter.status} tone={letter.status === 'open' ? 'bad' : 'good'} />
          <Facts of={{ Reason: letter.reason, Detail: letter.detail, Stage: letter.stage, Attempts: String(letter.attempts) }} />
          <Internal to={`/dead-letters?id=${encodeURIComponent(trace.id)}`}>Mend it and send it again</Internal>
        </>
      ),
    })
    return made
  }
  made.push({
    key: 'steps',
    title: 'Rules and checks',
    icon: icon(IconListCheck),
    children: <Rules trace={trace} />,
  })
  if (identity) {
    made.push({
      key: 'identity',
      title: 'Identity',
      icon: icon(IconFingerprint),
      children: (
        <Stack gap={2}>
          {identity.decisions.map((one) => (
            <Text size="sm" key={`${one.identifier}${one.did}`}>
              {one.label}: {DID[one.did] ?? one.did}
              {one.other !== undefined && (
                <>
                  {' '}
                  <Internal to={path`/profiles/${one.other}`}>{one.other}</Internal>
                </>
              )}
            </Text>
          ))}
          {identity.decisions.length === 0 && <Note>Nothing in it told anything new about who it is.</Note>}
          {identity.sent_as !== null && (
            <Text size="sm">
              Sent as {identity.sent_as}, {FORWARDED[identity.forwarded_for ?? ''] ?? 'which is another profile now'}.
            </Text>
          )}
        </Stack>
      ),
    })
  }
  made.push({
    key: 'profile',
    title: 'Profile',
    icon: icon(IconUser),
    children: profile ? (
      <Stack gap={4}>
        <Facts
          of={{
            Profile: <Id id={profile.id} to={path`/profiles/${profile.id}`} of="id of the profile" />,
            Created: profile.created ? 'by this event' : null,
            Session: session && session.id,
            Changed: profile.version_now !== null && profile.version_now !== profile.version ? 'has been changed since by later events' : null,
          }}
        />
        <Changes changes={trace.mappings?.changes ?? []} />
      </Stack>
    ) : (
      <Note>It came without a profile.</Note>
    ),
  })
  made.push({
    key: 'segments',
    title: 'Segments',
    icon: icon(IconUsersGroup),
    children: segments ? (
      <Stack gap={2}>
        {segments.looked.map((one) => (
          <Group gap={6} key={one.id} fz="sm">
            <StateBadge state={one.did} tone={one.did === 'entered' ? 'good' : one.did === 'left' ? 'warn' : 'idle'} />
            <Internal to={path`/segments/${one.id}`}>{one.id}</Internal>
            {one.because.length > 0 && <span>because: {one.because.join(', ')}</span>}
            {one.changed_since && <span>(the segment has been changed since)</span>}
          </Group>
        ))}
      </Stack>
    ) : (
      <Note>It changed nothing that a segment asks for.</Note>
    ),
  })
  made.push({ key: 'stored', title: 'Stored', icon: icon(IconDatabase), ...timed('stored'), children: <Note>Can be searched since then.</Note> })
  made.push({
    key: 'flows',
    title: 'Flows',
    icon: icon(IconPlayerPlay),
    children: flows ? (
      <Stack gap={2}>
        {flows.triggered.map((one) => (
          <Text size="sm" key={one.run}>
            <Internal to={`${path`/flows/${one.id}`}?run=${encodeURIComponent(one.run)}`}>{one.id}</Internal> ran, version {one.version}
          </Text>
        ))}
        {flows.may_end_pauses && <Note>Paused runs may have waited for it.</Note>}
      </Stack>
    ) : (
      <Note>No flow runs because of it.</Note>
    ),
  })
  return made
}

const DID: Record<string, string> = {
  claimed: 'now known to be of this profile',
  merged: 'the same as of another profile, so both became one:',
  shared: 'too many profiles have come with it, so it joins nobody',
  apart: 'kept apart from',
}
const FORWARDED: Record<string, string> = {
  alias: 'which has become part of this profile',
  session: 'but its session is of this profile',
  return: 'and came back, as a merge was undone or the session is gone',
}

export function Note({ children }: { children: ReactNode }) {
  return (
    <Text size="sm" c="dimmed">
      {children}
    </Text>
  )
}

function Internal({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Anchor component={Link} href={to} inherit style={{ overflowWrap: 'anywhere' }}>
      {children}
    </Anchor>
  )
}
