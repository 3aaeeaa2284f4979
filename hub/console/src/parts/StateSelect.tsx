import { Select } from '@mantine/core'

interface Props {
  /** Of what, for those who do not see it. */
  label: string
  states: string[]
  /** Empty: any. */
  value: string
  onChange: (state: string) => void
}

/** Only those in one state, or all of them. */
export function StateSelect({ label, states, value, onChange }: Props) {
  return (
    <Select
      aria-label={label}
      placeholder="Any state"
      size="xs"
      w={150}
      clearable
      clearButtonProps={{ 'aria-label': 'Any state' }}
      data={states}
      value={value || null}
      onChange={(state) => { onChange(state ?? '') }}
    />
  )
}
