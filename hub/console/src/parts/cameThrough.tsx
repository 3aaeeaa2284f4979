import { Anchor } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

import { path, url } from '../api/client'

/** Of a trace: `edge`. */
export interface Edge {
  door: string
  /** Of what it came through: a bridge, a flow … */
  bridge: string | null
  /** Where it was there. */
  coordinates: string | null
}

/** What an event came through, as rows of `Facts`: a link to it, if it has a page. */
export function cameThrough({ door, bridge: id, coordinates }: Edge): Record<string, ReactNode> {
  switch (door) {
    case 'rest':
      return { Through: 'the API' }
    case 'bridge':
      return { Bridge: id && link(path`/bridges/${id}`, id), 'Place at its broker': coordinates }
    case 'destination':
      return { Destination: id && link(url(path`/bridges/${id}`, { of: door }), id), Place: coordinates }
    case 'flow':
      return {
        Flow: id && link(path`/flows/${id}`, id),
        Run: id && coordinates && link(url(path`/flows/${id}`, { run: coordinates }), coordinates),
      }
    case 'heartbeat':
      return { Heartbeat: id && link(url('/heartbeats', { id }), id) }
    case 'import':
      return { Import: id, Row: coordinates }
    case 'takeover':
      return { Through: 'a takeover: it was brought here from the installation that was there before', Place: coordinates }
    default:
      return { Through: id ? `${door} ${id}` : door, Place: coordinates }
  }
}

function link(to: string, text: string) {
  return (
    <Anchor component={Link} href={to} inherit style={{ overflowWrap: 'anywhere' }}>
      {text}
    </Anchor>
  )
}
