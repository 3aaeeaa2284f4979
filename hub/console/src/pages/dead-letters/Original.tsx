import { Button, Group, Stack, Text } from '@mantine/core'
import { useMemo } from 'react'

import { ask, path } from '../../api/client'
import { useChange } from '../../api/hooks'
import { CopyButton } from '../../parts/CopyButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { save } from '../../parts/save'
import type { Letter } from './types'

/** The bytes as they came: text, or in hexadecimal where they are none. */
export function Original({ letter }: { letter: Letter }) {
  const text = useMemo(() => letter.body ?? hexadecimal(letter.body_base64 ?? ''), [letter.body, letter.body_base64])
  const download = useChange(async () => {
    const answer = await ask('GET', path`/dead-letters/${letter.id}/body`)
    save(`${letter.id}.bin`, await answer.blob())
  })
  return (
    <Stack gap="xs">
      <div style={{ position: 'relative' }}>
        <Group pos="absolute" top={4} right={4}>
          <CopyButton value={text} label="Copy the original" />
        </Group>
        <pre className="hub-json" style={{ maxHeight: 320 }} tabIndex={0} role="region" aria-label="Original">
          {text === '' ? '(empty)' : text}
        </pre>
      </div>
      <ErrorNotice error={download.error} />
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {letter.body === null ? 'It is no text: these are its bytes, sixteen to a line.' : ''}
          {letter.body_truncated ? ' Cut off here: save it to have all.' : ''}
        </Text>
        <Button variant="default" loading={download.isPending} onClick={() => { download.mutate() }}>
          Save the bytes
        </Button>
      </Group>
    </Stack>
  )
}

/** `0000  ff fe 3c …  ..<` */
function hexadecimal(base64: string): string {
  const raw = atob(base64)
  const lines: string[] = []
  for (let at = 0; at < raw.length; at += 16) {
    const part = [...raw.slice(at, at + 16)]
    const codes = part.map((char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join(' ')
    const shown = part.map((char) => (char >= ' ' && char <= '~' ? char : '.')).join('')
    lines.push(`${at.toString(16).padStart(4, '0')}  ${codes.padEnd(47)}  ${shown}`)
  }
  return lines.join('\n')
}
