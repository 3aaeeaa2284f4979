import { Group } from '@mantine/core'
import { useMemo } from 'react'

import { CopyButton } from './CopyButton'

/** A document as text: whatever events carry is shown, never interpreted. Args: most: height in pixels. */
export function Json({ value, label, most = 480 }: { value: unknown; label: string; most?: number }) {
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? 'undefined', [value])
  return (
    <div style={{ position: 'relative' }}>
      <Group pos="absolute" top={4} right={4}>
        <CopyButton value={text} label={`Copy ${label}`} />
      </Group>
      <pre className="hub-json" style={{ maxHeight: most }} tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
    </div>
  )
}
