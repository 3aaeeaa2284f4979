import { Group, Select } from '@mantine/core'
import { useMemo, useState } from 'react'

import { ActionButton } from '../../parts/ActionButton'
import type { NodeType } from './types'

interface Props {
  types: NodeType[]
  /** Where the new one will be led to from, in words. */
  after: string | null
  onAdd: (type: string) => void
}

/** Finds a type of node by its name, group or what it does, and puts one behind the node that is chosen. */
export function AddNode({ types, after, onAdd }: Props) {
  const [type, setType] = useState<string | null>(null)
  const data = useMemo(() => {
    const groups = new Map<string, { value: string; label: string }[]>()
    for (const one of types) {
      if (one.error !== undefined || one.type === 'start') continue
      const items = groups.get(one.group) ?? []
      items.push({ value: one.type, label: `${one.type}: ${one.summary}` })
      groups.set(one.group, items)
    }
    return [...groups].map(([group, items]) => ({ group, items }))
  }, [types])
  return (
    <Group gap="xs" align="flex-end">
      <Select
        label="Add a node"
        description={after === null ? 'Led to from nowhere yet' : `Behind ${after}`}
        placeholder="Search what it should do"
        data={data}
        value={type}
        onChange={setType}
        searchable
        limit={60}
        nothingFoundMessage="No type of node fits."
        style={{ flex: 1, minWidth: 240 }}
      />
      <ActionButton
        needs="admin"
        size="sm"
        variant="default"
        refusal={type === null ? 'Choose what it should do first.' : null}
        onClick={() => {
          if (type !== null) onAdd(type)
          setType(null)
        }}
      >
        Add
      </ActionButton>
    </Group>
  )
}
