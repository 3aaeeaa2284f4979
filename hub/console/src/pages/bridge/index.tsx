import { lazy, Suspense } from 'react'
import { useSearchParams } from 'wouter'

import { Loading } from '../../parts/Loading'
import { useIdInPath } from '../../parts/useIdInPath'
import { Running } from './Running'
import { NEW, type Of } from './types'

const Wizard = lazy(() => import('./Wizard'))

/** `new` in the address is a bridge that is not there yet; `?of=destination`: a destination. */
export default function Bridge() {
  const id = useIdInPath()
  const [search] = useSearchParams()
  const of: Of = search.get('of') === 'destination' ? 'destination' : 'bridge'
  if (id !== NEW && !search.has('edit')) return <Running key={`${of}/${id}`} of={of} id={id} />
  return (
    <Suspense fallback={<Loading />}>
      <Wizard key={`${of}/${id}`} of={of} id={id === NEW ? null : id} />
    </Suspense>
  )
}
