import { Button, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

interface Props {
  title: string
  /** What to do next, as a link to a page or a click. */
  action?: { label: string; to: string } | { label: string; onClick: () => void }
  children?: ReactNode
}

/** There is nothing yet: why, and what to do next. */
export function EmptyState({ title, action, children }: Props) {
  return (
    <Stack className="hub-panel" align="center" gap="xs" py="xl" ta="center">
      <Title order={2}>{title}</Title>
      {children !== undefined && (
        <Text c="dimmed" maw={480} component="div">
          {children}
        </Text>
      )}
      {action &&
        ('to' in action ? (
          <Button component={Link} href={action.to} mt="xs" size="sm">
            {action.label}
          </Button>
        ) : (
          <Button onClick={action.onClick} mt="xs" size="sm">
            {action.label}
          </Button>
        ))}
    </Stack>
  )
}
