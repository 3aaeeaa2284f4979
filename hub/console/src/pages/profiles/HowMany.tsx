import { Button, Text } from '@mantine/core'
import { useState } from 'react'

import { useGet } from '../../api/hooks'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { several } from '../../parts/numbers'

/** All that match, counted when somebody wants to know: it may take the hub long. */
export function HowMany({ q }: { q: string }) {
  const [isAsked, setIsAsked] = useState(q === '')
  const found = useGet<{ count: number }>('/profiles/count', { q }, { enabled: isAsked })
  if (found.error !== null) return <ErrorNotice error={found.error} />
  if (isAsked && found.data !== undefined && !found.isPlaceholderData) {
    return (
      <Text size="sm" c="dimmed" role="status">
        of {several(found.data.count, 'profile')}
      </Text>
    )
  }
  return (
    <Button variant="subtle" size="compact-sm" loading={found.isFetching} onClick={() => { setIsAsked(true) }}>
      Count all
    </Button>
  )
}
