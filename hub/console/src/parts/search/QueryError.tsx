import { Button, Group, Text } from '@mantine/core'

import { Problem } from '../../api/client'

export function isBadQuery(error: unknown): error is Problem {
  return error instanceof Problem && error.reason === 'bad_query'
}

/** What is wrong with a query, and where: its line with a caret below the place. Args: go: to that place. */
export function QueryError({ error, go }: { error: Problem; go?: (line: number, column: number) => void }) {
  const { line, column, excerpt, expected } = error.more
  const words = error.message.replace(/^line \d+, column \d+: /, '')
  const isPlaced = typeof line === 'number' && typeof column === 'number'
  return (
    <div role="alert" style={{ color: 'var(--hub-bad)' }}>
      {typeof excerpt === 'string' && (
        <pre className="hub-json" style={{ whiteSpace: 'pre', borderColor: 'var(--hub-bad)', marginTop: 6 }} tabIndex={0} role="region" aria-label="Where it is wrong">
          {excerpt}
        </pre>
      )}
      <Group gap="xs" mt={4} align="baseline">
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          {isPlaced && (
            <b>
              Line {line}, column {column}:{' '}
            </b>
          )}
          {words}
          {Array.isArray(expected) && expected.length > 0 && !words.includes('expected') && `. Expected: ${expected.join(', ')}`}
        </Text>
        {isPlaced && go && (
          <Button
            variant="default"
            size="compact-sm"
            onClick={() => {
              go(line, column)
            }}
          >
            Go there
          </Button>
        )}
      </Group>
    </div>
  )
}
