import { Anchor, Code, Group } from '@mantine/core'
import { Link } from 'wouter'

import { CopyButton } from './CopyButton'

interface Props {
  id: string
  /** Where it leads, below /console. */
  to?: string
  /** What it is an id of, for the button that copies it. */
  of?: string
  /** Characters that are shown; all are copied. */
  most?: number
}

/** An id as it is, with a button that copies it. */
export function Id({ id, to, of = 'id', most = 80 }: Props) {
  const shown = <>{id.length > most ? `${id.slice(0, most)}…` : id}</>
  // short ones are not broken into lines, however narrow a column is
  const style = { background: 'none', padding: 0, ...(most <= 40 ? { whiteSpace: 'nowrap' as const } : { overflowWrap: 'anywhere' as const }) }
  return (
    <Group gap={2} wrap="nowrap" w="fit-content" maw="100%">
      <Code style={style} title={id}>
        {to === undefined ? (
          shown
        ) : (
          <Anchor component={Link} href={to} inherit>
            {shown}
          </Anchor>
        )}
      </Code>
      <CopyButton value={id} label={`Copy ${of}`} />
    </Group>
  )
}
