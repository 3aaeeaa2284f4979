import { ActionIcon, Tooltip } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { IconCheck, IconCopy } from '@tabler/icons-react'

export function CopyButton({ value, label = 'Copy' }: { value: string; label?: string }) {
  const { copy, copied, error } = useClipboard({ timeout: 1_500 })
  // without TLS, and not on localhost, browsers have no clipboard for pages
  const words = error ? 'The browser does not let pages copy here: select it' : copied ? 'Copied' : label
  return (
    <Tooltip label={words}>
      <ActionIcon
        aria-label={label}
        onClick={() => {
          copy(value)
        }}
      >
        {copied ? <IconCheck size={16} color="var(--hub-good)" aria-hidden /> : <IconCopy size={16} aria-hidden />}
      </ActionIcon>
    </Tooltip>
  )
}
