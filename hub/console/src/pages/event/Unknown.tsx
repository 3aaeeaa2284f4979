import { Anchor, List, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path, type Problem } from '../../api/client'
import { EmptyState } from '../../parts/EmptyState'

/** There is no such event: what is known, and where to look. */
export function Unknown({ problem, again }: { problem: Problem; again: () => void }) {
  const same = (problem.more['events_with_this_client_id'] ?? []) as string[]
  return (
    <EmptyState title="There is no event with this id" action={{ label: 'Ask again', onClick: again }}>
      <Text>{problem.message}</Text>
      {same.length > 0 && (
        <List mt="xs">
          {same.map((id) => (
            <List.Item key={id}>
              <Anchor component={Link} href={path`/events/${id}`}>
                {id}
              </Anchor>
            </List.Item>
          ))}
        </List>
      )}
      <Text mt="xs">
        Look among the{' '}
        <Anchor component={Link} href="/dead-letters">
          dead letters
        </Anchor>
        , or{' '}
        <Anchor component={Link} href="/events">
          search all events
        </Anchor>
        .
      </Text>
    </EmptyState>
  )
}
