import { MantineProvider } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClientProvider } from '@tanstack/react-query'
import { Router } from 'wouter'

import { queries } from '../api/hooks'
import { ErrorBoundary } from './ErrorBoundary'
import { nonce } from './nonce'
import { WithSession } from './session'
import { Shell } from './Shell'
import { theme, variables } from './theme'

export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={variables} getStyleNonce={() => nonce} defaultColorScheme="auto">
      <Notifications position="bottom-right" autoClose={6_000} />
      <ErrorBoundary>
        <QueryClientProvider client={queries}>
          <Router base="/console">
            <WithSession>
              <Shell />
            </WithSession>
          </Router>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  )
}
