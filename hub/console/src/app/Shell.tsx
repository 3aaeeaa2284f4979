import { ActionIcon, AppShell, Burger, Button, Group, Kbd, Menu, NavLink, Text, Tooltip } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { openSpotlight, Spotlight } from '@mantine/spotlight'
import { IconLogout, IconSearch, IconUserCircle } from '@tabler/icons-react'
import { lazy, Suspense, useEffect, useRef } from 'react'
import { Link, Route, Switch, useLocation } from 'wouter'

import { GROUPS, type PageRow, PAGES } from '../pages/table'
import { Loading } from '../parts/Loading'
import { Brand } from './Brand'
import { ErrorBoundary } from './ErrorBoundary'
import { NotFound } from './NotFound'
import { logOut, useSession } from './session'
import { ThemeSwitch } from './ThemeSwitch'

const ROUTES = PAGES.map((page) => ({ page, Body: lazy(page.load) }))

/** Header, navigation, and the page that the path names. */
export function Shell() {
  const [isOpen, { toggle, close }] = useDisclosure()
  const [where, go] = useLocation()
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)

  useEffect(() => {
    close()
    // who goes to another page by keyboard or screen reader begins at its top
    if (!first.current) main.current?.focus()
    first.current = false
  }, [where, close])

  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 204, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
      padding={{ base: 'sm', sm: 'lg' }}
      transitionDuration={0}
    >
      <a className="hub-skip" href="#main">
        Skip to content
      </a>
      <AppShell.Header px="sm">
        <Group h="100%" justify="space-between" wrap="nowrap" gap="xs">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" aria-expanded={isOpen} />
            <Link href="/" aria-label="ThamesThrive Hub, overview" style={{ color: 'inherit', textDecoration: 'none' }}>
              <Brand />
            </Link>
          </Group>
          <Group gap={4} wrap="nowrap">
            <Button
              variant="default"
              size="xs"
              visibleFrom="sm"
              leftSection={<IconSearch size={14} aria-hidden />}
              rightSection={<Kbd size="xs">Ctrl K</Kbd>}
              onClick={openSpotlight}
            >
              Go to…
            </Button>
            <ThemeSwitch />
            <Account />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Pages" className="hub-nav" style={{ overflowY: 'auto' }}>
        {GROUPS.map((group) => (
          <Group_ key={group} title={group} where={where} />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="main" ref={main} tabIndex={-1} style={{ outline: 'none' }}>
        <ErrorBoundary key={where}>
          <Suspense fallback={<Loading />}>
            <Switch>
              {ROUTES.map(({ page, Body }) => (
                <Route key={page.id} path={page.path}>
                  <Body />
                </Route>
              ))}
              <Route>
                <NotFound />
              </Route>
            </Switch>
          </Suspense>
        </ErrorBoundary>
      </AppShell.Main>
      <Spotlight
        shortcut={['mod + K']}
        searchProps={{ placeholder: 'Go to a page', 'aria-label': 'Go to a page' }}
        nothingFound="No page is called so."
        actions={PAGES.filter((page) => page.nav).map((page) => ({
          id: page.id,
          label: page.title,
          description: page.about,
          onClick: () => {
            go(page.path)
          },
          leftSection: page.nav ? <page.nav.icon size={18} aria-hidden /> : undefined,
        }))}
      />
    </AppShell>
  )
}

function Group_({ title, where }: { title: string; where: string }) {
  return (
    <>
      <div className="hub-nav-group">{title}</div>
      {PAGES.filter((page) => page.nav?.group === title).map((page) => (
        <Entry key={page.id} page={page} isHere={isBelow(where, page.path)} />
      ))}
    </>
  )
}

function Entry({ page, isHere }: { page: PageRow; isHere: boolean }) {
  if (!page.nav) return null
  return (
    <NavLink
      component={Link}
      href={page.path}
      label={page.title}
      leftSection={<page.nav.icon size={16} stroke={1.7} aria-hidden />}
      active={isHere}
      color="thames"
      {...(isHere ? { 'aria-current': 'page' as const } : {})}
    />
  )
}

/** /events/1 is a page of /events. */
function isBelow(where: string, path: string): boolean {
  return where === path || (path !== '/' && where.startsWith(`${path}/`))
}

function Account() {
  const { name, key, roles, namespace, version } = useSession()
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <Tooltip label={`${name || key}: ${roles.join(', ')}`}>
          <ActionIcon size="lg" aria-label={`Logged in with ${name || key}`}>
            <IconUserCircle size={20} stroke={1.7} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" c="var(--mantine-color-text)" fw={600}>
            {name || key}
          </Text>
          <Text size="xs">Role: {roles.join(', ')}</Text>
          <Text size="xs">Namespace: {namespace}</Text>
          <Text size="xs">Hub {version}</Text>
        </Menu.Label>
        <Menu.Divider />
        <Menu.Item component="a" href="/docs">
          API documentation
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => void logOut()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
