import { NavLink, Select } from '@mantine/core'
import { Link, useLocation } from 'wouter'

import { url } from '../../api/client'
import { KINDS } from './kinds'

/** Which kind is looked at: a list beside it, or a field on a phone. */
export function KindList({ chosen }: { chosen: string }) {
  const [, go] = useLocation()
  return (
    <>
      <Select
        hiddenFrom="md"
        label="Kind"
        data={KINDS.map(({ kind, title }) => ({ value: kind, label: title }))}
        value={chosen}
        allowDeselect={false}
        onChange={(kind) => { go(url('/definitions', { kind })) }}
      />
      <nav aria-label="Kinds of definition" className="hub-nav mantine-visible-from-md">
        {KINDS.map(({ kind, title }) => (
          <NavLink
            key={kind}
            component={Link}
            href={url('/definitions', { kind })}
            label={title}
            active={kind === chosen}
            {...(kind === chosen ? { 'aria-current': 'page' as const } : {})}
          />
        ))}
      </nav>
    </>
  )
}
