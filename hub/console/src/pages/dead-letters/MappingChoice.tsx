import { Select, Stack } from '@mantine/core'

import { useGet } from '../../api/hooks'
import { type EditorProblem, JsonEditor } from '../../parts/JsonEditor'

/** `''`: the bridge's; `own`: JSON; else a ready-made one's name. */
export interface Choice {
  way: string
  text: string
}

export const BRIDGES: Choice = { way: '', text: '{\n  "profile": "customer_id",\n  "event": {\n    "type": "type",\n    "properties": "@"\n  }\n}' }

/** As a replay takes it; undefined: the bridge's own. Throws SyntaxError. */
export const mappingOf = ({ way, text }: Choice): unknown => (way === '' ? undefined : way === 'own' ? (JSON.parse(text) as unknown) : way)

export function isUsable(choice: Choice): boolean {
  try {
    mappingOf(choice)
    return true
  } catch {
    return false
  }
}

interface Props {
  value: Choice
  onChange: (choice: Choice) => void
  problems?: EditorProblem[]
}

/** Which mapping a message goes through when it is sent again. */
export function MappingChoice({ value, onChange, problems = [] }: Props) {
  const ready = useGet<{ items: { name: string }[] }>('/mappings')
  return (
    <Stack gap="xs">
      <Select
        label="Mapping"
        description="A mapping given here is used for this replay only."
        allowDeselect={false}
        data={[
          { value: '', label: 'As its bridge is defined now' },
          { value: 'own', label: 'Repair with my own' },
          { group: 'Repair with a ready-made one', items: ready.data?.items.map(({ name }) => name) ?? [] },
        ]}
        value={value.way}
        onChange={(way) => { onChange({ ...value, way: way ?? '' }) }}
      />
      {value.way === 'own' && <JsonEditor label="Repairing mapping" value={value.text} height={140} problems={problems} onChange={(text) => { onChange({ ...value, text }) }} />}
    </Stack>
  )
}
