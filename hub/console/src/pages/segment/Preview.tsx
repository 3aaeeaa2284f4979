import { Group, Stack, Text } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'

import { hub } from '../../api/client'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count, several } from '../../parts/numbers'
import { isBadQuery, QueryError } from '../../parts/search/QueryError'
import { Person } from './Person'
import type { Previewed } from './types'

const AFTER_MS = 400

/** How many a condition would let in, and some of them, while it is being written. */
export function Preview({ condition }: { condition: string }) {
  const [asked] = useDebouncedValue(condition.trim(), AFTER_MS)
  const { data, error, isFetching } = useQuery<Previewed>({
    queryKey: ['/segments/preview', asked],
    queryFn: ({ signal }) => hub.post<Previewed>('/segments/preview', { condition: asked, size: 5 }, { signal }),
    enabled: asked !== '',
    retry: false,
  })
  if (asked === '') {
    return <Text c="dimmed">Without a condition, lists and flows say who is in it.</Text>
  }
  return (
    <Stack gap="xs" aria-live="polite" aria-busy={isFetching} mih={92}>
      {isBadQuery(error) ? <QueryError error={error} /> : <ErrorNotice error={error} />}
      {error === null && data !== undefined && (
        <>
          <Text>
            <Text span inherit fw={600} className="hub-number">
              {`${data.exact ? '' : 'about '}${several(data.count, 'profile')}`}
            </Text>{' '}
            of {count(data.total)} would be in it now{data.exact ? '.' : `, going by ${count(data.looked)} of them.`}
          </Text>
          {data.warnings.map((warning) => (
            <Text key={warning} c="var(--hub-warn)">
              {warning}
            </Text>
          ))}
          {data.sample.length > 0 && (
            <Group gap="xs">
              <Text c="dimmed">Such as</Text>
              {data.sample.map((profile) => (
                <Person key={profile.id} profile={profile} />
              ))}
            </Group>
          )}
          {data.count === 0 && <Text c="dimmed">Nobody yet. Whoever comes to meet it enters with the event that makes the difference.</Text>}
        </>
      )}
      {error === null && data === undefined && <Text c="dimmed">Counting…</Text>}
    </Stack>
  )
}
