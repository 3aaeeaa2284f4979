import { Anchor, Breadcrumbs, Group, Stack, Text, Title } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

interface Props {
  title: string
  /** One sentence: what this page shows. */
  about?: ReactNode
  /** Pages above this one. */
  above?: { label: string; to: string }[]
  /** Beside the title, such as a StateBadge. */
  badge?: ReactNode
  /** Buttons, on the right. */
  children?: ReactNode
}

/** Top of every page: its only h1, and the tab's title. */
export function PageHeader({ title, about, above, badge, children }: Props) {
  useDocumentTitle(`${title} · ThamesThrive Hub`)
  return (
    <Group justify="space-between" align="flex-end" mb="md" gap="sm">
      <Stack gap={2} style={{ minWidth: 0 }}>
        {above && (
          <Breadcrumbs separatorMargin={6}>
            {above.map(({ label, to }) => (
              <Anchor key={to} component={Link} href={to} size="sm">
                {label}
              </Anchor>
            ))}
            <span />
          </Breadcrumbs>
        )}
        <Group gap="sm">
          <Title order={1} style={{ overflowWrap: 'anywhere' }}>
            {title}
          </Title>
          {badge}
        </Group>
        {about !== undefined && <Text c="dimmed">{about}</Text>}
      </Stack>
      {children !== undefined && <Group gap="xs">{children}</Group>}
    </Group>
  )
}
