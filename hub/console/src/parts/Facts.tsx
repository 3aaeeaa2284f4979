import './parts.css'

import { Text } from '@mantine/core'
import type { ReactNode } from 'react'

/** Names and what they stand for. Those that are null are left out. */
export function Facts({ of }: { of: Record<string, ReactNode> }) {
  const told = Object.entries(of).filter(([, value]) => value !== null && value !== undefined && value !== '')
  if (told.length === 0) return null
  return (
    <dl className="hub-facts">
      {told.map(([name, value]) => (
        <div key={name}>
          <Text component="dt" size="sm" c="dimmed">
            {name}
          </Text>
          <Text component="dd" size="sm" m={0} style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
            {value}
          </Text>
        </div>
      ))}
    </dl>
  )
}
