import { Anchor, Button, Code, PasswordInput, Stack, Text, Title } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { type FormEvent, useState } from 'react'

import { Problem } from '../api/client'
import { ErrorNotice } from '../parts/ErrorNotice'
import { Brand } from './Brand'
import { logIn } from './session'

/** Asks for a key. It goes to the hub once and comes back as a cookie that scripts cannot read. */
export function Login() {
  useDocumentTitle('Log in · ThamesThrive Hub')
  const [key, setKey] = useState('')
  const [error, setError] = useState<Error | null>(null)
  const [busy, setBusy] = useState(false)

  async function submit(event: FormEvent) {
    event.preventDefault()
    setBusy(true)
    setError(null)
    try {
      await logIn(key)
    } catch (failed) {
      const wrong = failed instanceof Problem && failed.status === 401 && failed.reason === 'unauthorized'
      setError(wrong ? new Problem(401, 'This is no key of this hub.', 'Copy it whole, without quotes.') : (failed as Error))
      setBusy(false)
    }
  }

  return (
    <main style={{ minHeight: '100vh', display: 'grid', placeItems: 'center', padding: 16 }}>
      <div className="hub-panel" style={{ width: '100%', maxWidth: 400, padding: 28 }}>
        <form onSubmit={(event) => void submit(event)}>
          <Stack gap="md">
            <Brand />
            <Title order={1}>Log in</Title>
            <PasswordInput
              label="API key"
              description="The admin key, or an API key of any role."
              value={key}
              onChange={(event) => {
                setKey(event.currentTarget.value)
              }}
              autoComplete="current-password"
              spellCheck={false}
              required
              data-autofocus
              autoFocus
            />
            {error !== null && <ErrorNotice error={error} />}
            <Button type="submit" size="sm" loading={busy} disabled={key.trim() === ''}>
              Log in
            </Button>
            <Text size="sm" c="dimmed">
              A hub that was started with <Code>hub up</Code> has its admin key in the file{' '}
              <Code>hub-data/admin-key</Code> of the folder it was started in, unless <Code>HUB_ADMIN_KEY</Code> sets
              one. <Code>hub key add</Code> makes keys of other roles.
            </Text>
            <Anchor href="/docs" size="sm">
              The API's documentation
            </Anchor>
          </Stack>
        </form>
      </div>
    </main>
  )
}
