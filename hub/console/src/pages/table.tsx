import {
  IconActivity,
  IconBinaryTree2,
  IconBuildingBroadcastTower,
  IconClock,
  IconFileCode,
  IconFlag,
  IconGauge,
  IconListCheck,
  IconListSearch,
  IconMailX,
  IconPlugConnected,
  IconUsers,
  IconUsersGroup,
} from '@tabler/icons-react'
import type { ComponentType } from 'react'

/** Headings of the navigation, in order. */
export const GROUPS = ['Look', 'Customers', 'Connect', 'Act', 'Care'] as const

export interface PageRow {
  id: string
  /** Below /console. What `:id` stands for is in `useIdInPath()`. */
  path: string
  title: string
  about: string
  /** Not there for pages that others lead to. */
  nav?: { group: (typeof GROUPS)[number]; icon: typeof IconGauge }
  /** A page is the default export of its folder, and loaded when it is first looked at. */
  load: () => Promise<{ default: ComponentType }>
}

/** Every page of the console. The first path that fits is taken. */
export const PAGES: PageRow[] = [
  {
    id: 'overview',
    path: '/',
    title: 'Overview',
    about: 'Was anything lost, and is everything running?',
    nav: { group: 'Look', icon: IconGauge },
    load: () => import('./overview'),
  },
  {
    id: 'live',
    path: '/live',
    title: 'Live',
    about: 'Events as they are stored.',
    nav: { group: 'Look', icon: IconActivity },
    load: () => import('./live'),
  },
  {
    id: 'events',
    path: '/events',
    title: 'Events',
    about: 'Search everything that was stored.',
    nav: { group: 'Look', icon: IconListSearch },
    load: () => import('./events'),
  },
  {
    id: 'event',
    path: '/events/:id',
    title: 'Event',
    about: 'What happened to one event, from the edge to the profile.',
    load: () => import('./event'),
  },
  {
    id: 'profiles',
    path: '/profiles',
    title: 'Profiles',
    about: 'Find a customer.',
    nav: { group: 'Customers', icon: IconUsers },
    load: () => import('./profiles'),
  },
  {
    id: 'profile',
    path: '/profiles/:id',
    title: 'Profile',
    about: 'All that is known of one customer.',
    load: () => import('./profile'),
  },
  {
    id: 'segments',
    path: '/segments',
    title: 'Segments',
    about: 'Groups of customers that keep themselves up to date.',
    nav: { group: 'Customers', icon: IconUsersGroup },
    load: () => import('./segments'),
  },
  {
    id: 'segment',
    path: '/segments/:id',
    title: 'Segment',
    about: 'One segment: its condition, its size, who is in it and why.',
    load: () => import('./segment'),
  },
  {
    id: 'sources',
    path: '/sources',
    title: 'Sources',
    about: 'Who may send events, with a snippet to copy.',
    nav: { group: 'Connect', icon: IconBuildingBroadcastTower },
    load: () => import('./sources'),
  },
  {
    id: 'bridges',
    path: '/bridges',
    title: 'Bridges',
    about: 'Queues that the hub reads.',
    nav: { group: 'Connect', icon: IconPlugConnected },
    load: () => import('./bridges'),
  },
  {
    id: 'bridge',
    path: '/bridges/:id',
    title: 'Bridge',
    about: 'One bridge: settings, mapping, lag, versions.',
    load: () => import('./bridge'),
  },
  {
    id: 'flows',
    path: '/flows',
    title: 'Flows',
    about: 'Workflows that events and segments start.',
    nav: { group: 'Act', icon: IconBinaryTree2 },
    load: () => import('./flows'),
  },
  {
    id: 'flow',
    path: '/flows/:id',
    title: 'Flow',
    about: 'One flow: its graph, a test run, its runs.',
    load: () => import('./flow'),
  },
  {
    id: 'heartbeats',
    path: '/heartbeats',
    title: 'Heartbeats',
    about: 'Events that are sent for many profiles at a time.',
    nav: { group: 'Act', icon: IconClock },
    load: () => import('./heartbeats'),
  },
  {
    id: 'tasks',
    path: '/tasks',
    title: 'Tasks',
    about: 'Long jobs: progress, cancel, retry.',
    nav: { group: 'Care', icon: IconListCheck },
    load: () => import('./tasks'),
  },
  {
    id: 'dead-letters',
    path: '/dead-letters',
    title: 'Dead letters',
    about: 'What could not be taken, why, and how to send it again.',
    nav: { group: 'Care', icon: IconMailX },
    load: () => import('./dead-letters'),
  },
  {
    id: 'definitions',
    path: '/definitions',
    title: 'Definitions',
    about: 'All that is configured, with its history.',
    nav: { group: 'Care', icon: IconFileCode },
    load: () => import('./definitions'),
  },
  {
    id: 'start',
    path: '/start',
    title: 'First event',
    about: 'From an empty hub to the first event in two minutes.',
    nav: { group: 'Connect', icon: IconFlag },
    load: () => import('./start'),
  },
]
