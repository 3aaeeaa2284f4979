import { EmptyState } from '../parts/EmptyState'
import { PageHeader } from '../parts/PageHeader'

export function NotFound() {
  return (
    <>
      <PageHeader title="No such page" />
      <EmptyState title="The console has no page here" action={{ label: 'To the overview', to: '/' }}>
        The address may be mistyped, or from another version of the hub.
      </EmptyState>
    </>
  )
}
