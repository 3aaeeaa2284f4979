import { Code, List, Text } from '@mantine/core'

import { useGet } from '../../api/hooks'
import { Loading } from '../../parts/Loading'
import { Panel } from '../../parts/Panel'
import type { Schema } from '../../parts/SettingsForm'
import { schemaOf } from './kinds'

interface Described {
  components: { schemas: Record<string, Schema> }
}

/** What a definition of a kind may say, as the API describes it. */
export function Fields({ kind }: { kind: string }) {
  const api = useGet<Described>('/openapi.json')
  const schema = api.data?.components.schemas[schemaOf(kind)]
  if (api.isPending) return <Loading />
  if (schema === undefined) return null
  const required = new Set(schema.required ?? [])
  return (
    <Panel title="Fields">
      {schema.description !== undefined && (
        <Text c="dimmed" size="sm" mb="xs">
          {schema.description}
        </Text>
      )}
      <List size="sm" spacing={4}>
        {Object.entries(schema.properties ?? {}).map(([name, field]) => (
          <List.Item key={name} style={{ overflowWrap: 'anywhere' }}>
            <Code>{name}</Code>
            {required.has(name) ? ' (needed)' : ''}: <Text span size="sm" c="dimmed">{typeOf(field)}{field.description ? `. ${field.description}` : ''}</Text>
          </List.Item>
        ))}
      </List>
    </Panel>
  )
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' or ')
  if (schema['const'] !== undefined) return JSON.stringify(schema['const'])
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(' or ')
  if (schema.type === 'array') return `list of ${schema.items === undefined ? 'anything' : typeOf(schema.items)}`
  return schema.type ?? (schema.$ref === undefined ? 'anything' : 'object')
}
