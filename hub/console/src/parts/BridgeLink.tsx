import { Anchor } from '@mantine/core'
import { Link } from 'wouter'

import { path, url } from '../api/client'

/** To the page of a bridge or, if `door` says so, of a destination. */
export function BridgeLink({ door, id }: { door: string; id: string }) {
  return (
    <Anchor component={Link} href={url(path`/bridges/${id}`, { of: door === 'destination' ? door : null })} inherit style={{ overflowWrap: 'anywhere' }}>
      {id}
    </Anchor>
  )
}
