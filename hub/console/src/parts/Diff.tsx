import { Skeleton } from '@mantine/core'
import { lazy, Suspense } from 'react'

export interface DiffProps {
  label: string
  before: string
  after: string
}

const Loaded = lazy(() => import('./editor/DiffView'))

/** What is different between two texts, line by line. */
export function Diff(props: DiffProps) {
  return (
    <Suspense fallback={<Skeleton height={180} radius="sm" />}>
      <Loaded {...props} />
    </Suspense>
  )
}
