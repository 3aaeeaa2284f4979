import { Grid } from '@mantine/core'
import { useSearchParams } from 'wouter'

import { PageHeader } from '../../parts/PageHeader'
import { List } from './List'
import { KINDS } from './kinds'
import { KindList } from './KindList'
import { One } from './One'

export default function Definitions() {
  const [search] = useSearchParams()
  const kind = KINDS.find((one) => one.kind === search.get('kind')) ?? KINDS[0]!
  const id = search.get('id')
  const isNew = search.has('new')
  if (id !== null || isNew) return <One key={`${kind.kind}/${id}`} kind={kind} id={isNew ? null : id} />
  return (
    <>
      <PageHeader title="Definitions" about="All that is configured, with its history. What is changed here is known to every process within a second." />
      <Grid gap="md">
        <Grid.Col span={{ base: 12, md: 3 }}>
          <KindList chosen={kind.kind} />
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 9 }}>
          <List key={kind.kind} kind={kind} />
        </Grid.Col>
      </Grid>
    </>
  )
}
