import { Group, Stack, Text, Tooltip } from '@mantine/core'
import type { ReactNode } from 'react'

import type { Tone } from './StateBadge'

interface Props {
  label: string
  value: ReactNode
  unit?: string
  /** What exactly is counted. */
  about?: string
  tone?: Tone
}

/** One number with its unit. */
export function Stat({ label, value, unit, about, tone }: Props) {
  const name = (
    <Text size="sm" c="dimmed" style={about ? { textDecoration: 'underline dotted', textUnderlineOffset: 3 } : {}}>
      {label}
    </Text>
  )
  return (
    <Stack gap={2} className="hub-panel" style={{ paddingBlock: 10 }}>
      {about ? (
        <Tooltip label={about}>
          <Group tabIndex={0} w="fit-content">
            {name}
          </Group>
        </Tooltip>
      ) : (
        name
      )}
      <Group gap={5} align="baseline" wrap="nowrap">
        <Text fz={22} fw={600} lh={1.2} className="hub-number" {...(tone ? { c: `var(--hub-${tone})` } : {})}>
          {value}
        </Text>
        {unit !== undefined && (
          <Text size="sm" c="dimmed">
            {unit}
          </Text>
        )}
      </Group>
    </Stack>
  )
}
