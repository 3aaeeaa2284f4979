import { Anchor, Text } from '@mantine/core'
import { Link } from 'wouter'

import { path } from '../../api/client'
import type { Member } from './types'

/** A profile by its name, if it has one, and its id; leads to its page. */
export function Person({ profile }: { profile: Member }) {
  const name = nameOf(profile)
  return (
    <Anchor component={Link} href={path`/profiles/${profile.id}`} inherit>
      {name === '' ? (
        <Text span inherit ff="monospace">
          {profile.id}
        </Text>
      ) : (
        name
      )}
    </Anchor>
  )
}

function nameOf({ data }: Member): string {
  const pii = data?.pii ?? {}
  const parts = [pii['display_name'], [pii['firstname'], pii['lastname']].filter(Boolean).join(' '), data?.contact?.email?.['main']]
  return String(parts.find((part) => typeof part === 'string' && part !== '') ?? '')
}
