import { Button, Group, MultiSelect, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useState } from 'react'

import { ActionButton } from '../../parts/ActionButton'
import { duration } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { type Schema, SettingsForm } from '../../parts/SettingsForm'
import { withNode, withoutNode, withTargets } from './edit'
import { portsOf } from './Graph'
import { type FlowProblem, type FlowSpec, type NodeType, targets } from './types'

interface Props {
  flow: FlowSpec
  id: string
  type: NodeType | undefined
  problems: FlowProblem[]
  onChange: (flow: FlowSpec) => void
  onClose: () => void
}

/** What one node does, and where it leads. */
export function NodeForm({ flow, id, type, problems, onChange, onClose }: Props) {
  const [another, setAnother] = useState('')
  const [more, setMore] = useState<string[]>([])
  const node = flow.nodes[id]
  if (node === undefined) return null
  const others = Object.keys(flow.nodes).filter((one) => one !== id)
  const ports = [...new Set([...more, ...portsOf(node.to, type)])]
  return (
    <Panel title={`${id}: ${node.type}`} aside={<Button variant="default" onClick={onClose}>Close</Button>}>
      <Stack gap="sm">
        <Text c="dimmed">{type?.summary ?? type?.error ?? ''}</Text>
        {type?.long_s && <Text>May take up to {duration(type.long_s)}: a worker runs it, and other runs do not wait for it.</Text>}
        {problems.map(({ where, detail }) => (
          <Text key={where + detail} c="var(--hub-bad)" role="alert">
            {where}: {detail}
          </Text>
        ))}
        {type && Object.keys(type.config.properties ?? {}).length > 0 && (
          <SettingsForm
            key={id}
            schema={forTexts(type.config, node.config ?? {})}
            value={node.config ?? {}}
            onChange={(config) => { onChange(withNode(flow, id, { ...node, config: typed(type.config, config) })) }}
          />
        )}
        <Group align="flex-start">
          {ports.map((port) => (
            <MultiSelect
              key={port}
              label={`From ${port} to`}
              data={others}
              value={targets(node.to?.[port])}
              placeholder={targets(node.to?.[port]).length === 0 ? 'nothing: the end' : ''}
              searchable
              clearButtonProps={{ 'aria-label': `Nothing behind ${port}` }}
              onChange={(to) => { onChange(withTargets(flow, id, port, to)) }}
              style={{ minWidth: 200, flex: 1 }}
            />
          ))}
        </Group>
        {type?.own_ports && (
          <Group align="flex-end">
            <TextInput label="Another port" value={another} onChange={(event) => { setAnother(event.currentTarget.value) }} />
            <Button
              variant="default"
              size="sm"
              onClick={() => {
                if (another.trim() !== '') setMore([...more, another.trim()])
                setAnother('')
              }}
            >
              Add port
            </Button>
          </Group>
        )}
        <Group justify="space-between">
          <Switch
            label="Skip it: what comes goes out at its first port"
            checked={node.skip ?? false}
            onChange={(event) => { onChange(withNode(flow, id, { ...node, skip: event.currentTarget.checked })) }}
          />
          <ActionButton
            needs="admin"
            variant="default"
            refusal={node.type === 'start' ? 'A flow begins here.' : null}
            onClick={() => {
              onChange(withoutNode(flow, id))
              onClose()
            }}
          >
            Remove node
          </ActionButton>
        </Group>
      </Stack>
    </Panel>
  )
}

const isTemplate = (schema: Schema): boolean => schema.type === undefined && (schema.format === 'template' || (schema.anyOf ?? []).some(isTemplate))

/** Templates may be anything: a text is edited as text, all else as JSON. */
function forTexts(schema: Schema, value: Record<string, unknown>): Schema {
  const properties = Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const asText = isTemplate(one) && ['string', 'number', 'undefined'].includes(typeof value[name])
    return [name, asText ? { ...one, anyOf: undefined, type: 'string' } : one]
  })
  return { ...schema, properties: Object.fromEntries(properties) as Record<string, Schema> }
}

/** A number that was written into a template is one. */
function typed(schema: Schema, value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      const isNumber = typeof one === 'string' && /^-?\d+(\.\d+)?$/.test(one) && isTemplate(schema.properties?.[name] ?? { type: 'string' })
      return [name, isNumber ? Number(one) : one]
    }),
  )
}
