import { Anchor } from '@mantine/core'
import { useParams } from 'wouter'

import { EmptyState } from '../parts/EmptyState'
import { PageHeader } from '../parts/PageHeader'
import { PAGES } from './table'

/** A page that is not built yet, and says so. */
export function Coming({ page, api }: { page: string; api: string }) {
  const row = PAGES.find(({ id }) => id === page)
  const { id } = useParams<{ id?: string }>()
  const title = row?.title ?? page
  return (
    <>
      <PageHeader title={id === undefined ? title : `${title} ${id}`} {...(row ? { about: row.about } : {})} />
      <EmptyState title="This page is not built yet">
        What it will show is at <code>{api}</code> of the API: see <Anchor href="/docs">its documentation</Anchor>.
      </EmptyState>
    </>
  )
}
