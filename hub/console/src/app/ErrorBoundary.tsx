import { Button, Stack, Text, Title } from '@mantine/core'
import { Component, type ReactNode } from 'react'

/** What a page that fails looks like: the rest of the console goes on. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null }

  static getDerivedStateFromError(error: Error) {
    return { error }
  }

  override render() {
    const { error } = this.state
    if (error === null) return this.props.children
    // the hub has been updated since this page was loaded: the file of a page has another name now
    const isOld = /dynamically imported module|preload/i.test(error.message)
    return (
      <Stack className="hub-panel" role="alert" gap="sm" m="md">
        <Title order={1}>{isOld ? 'The hub has a newer console' : 'This page has failed'}</Title>
        <Text>{isOld ? 'Load it again to go on.' : `A fault of the console's: ${error.message}`}</Text>
        <div>
          <Button
            onClick={() => {
              location.reload()
            }}
          >
            Load again
          </Button>
        </div>
      </Stack>
    )
  }
}
