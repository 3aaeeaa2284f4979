import { Collapse, NumberInput, PasswordInput, Select, SimpleGrid, Stack, Switch, TagsInput, Textarea, TextInput, UnstyledButton } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react'
import { useState } from 'react'

import { pretty } from './pretty'

/** As much of JSON Schema as settings use. */
export interface Schema {
  type?: string
  format?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  items?: Schema
  minimum?: number
  maximum?: number
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
  $ref?: string
  [more: string]: unknown
}

export type Settings = Record<string, unknown>

interface Props {
  schema: Schema
  value: Settings
  onChange: (value: Settings) => void
  /** By name of the setting. */
  errors?: Record<string, string>
}

/** A field for each setting of a JSON Schema: first those that have to be there, others when they are asked for. */
export function SettingsForm({ schema, value, onChange, errors = {} }: Props) {
  const names = Object.keys(schema.properties ?? {})
  const required = new Set(schema.required ?? [])
  const first = names.filter((name) => required.has(name) || FIRST.has(name))
  const more = names.filter((name) => !first.includes(name))
  const used = more.some((name) => value[name] !== undefined || errors[name] !== undefined)
  const [isOpen, { toggle }] = useDisclosure(used)
  const field = (name: string) => (
    <Field
      key={name}
      name={name}
      schema={schema.properties![name]!}
      required={required.has(name)}
      value={value[name]}
      error={errors[name]}
      onChange={(next) => {
        const { [name]: _, ...others } = value
        onChange(next === undefined ? others : { ...others, [name]: next })
      }}
    />
  )
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>{first.map(field)}</SimpleGrid>
      {more.length > 0 && (
        <>
          <UnstyledButton onClick={toggle} aria-expanded={isOpen} style={{ display: 'flex', alignItems: 'center', gap: 4 }} w="fit-content">
            {isOpen ? <IconChevronDown size={16} aria-hidden /> : <IconChevronRight size={16} aria-hidden />}
            {`${more.length} more settings, such as ${more.slice(0, 3).map(title).join(', ')}`}
          </UnstyledButton>
          <Collapse expanded={isOpen}>
            <SimpleGrid cols={{ base: 1, sm: 2 }}>{more.map(field)}</SimpleGrid>
          </Collapse>
        </>
      )}
    </Stack>
  )
}

/** Not required, yet wanted nearly always. */
const FIRST = new Set(['username', 'password', 'secret'])

/** ca_file: Ca file */
const title = (name: string): string => {
  const words = name
    .replaceAll('_', ' ')
    .replace(/ s$/, ' (s)')
    .replace(/ ms$/, ' (ms)')
    .replace(/\b(url|ca|id|tls|ssl|acl)\b/g, (word) => word.toUpperCase())
    .replace('qos', 'QoS')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const SECRET = 'Write env:NAME or file:NAME to refer to one of the bridge process; or the secret itself: the hub seals it and never shows it again.'

interface FieldProps {
  name: string
  schema: Schema
  required: boolean
  value: unknown
  error: string | undefined
  onChange: (value: unknown) => void
}

function Field({ name, schema, required, value, error, onChange }: FieldProps) {
  const common = { label: title(name), required, error: error ?? null, name }
  const shown = schema.description ?? ''
  const otherwise = schema.default === undefined || schema.default === '' || typeof schema.default === 'object' ? '' : String(schema.default)
  const empty = otherwise === '' ? '' : ` Empty: ${otherwise}.`
  if (schema.format === 'password') {
    return (
      <PasswordInput
        {...common}
        description={`${shown} ${SECRET}`}
        autoComplete="off"
        visibilityToggleButtonProps={{ 'aria-label': `Show ${title(name).toLowerCase()}`, tabIndex: 0 }}
        value={String(value ?? '')}
        placeholder={value === 'sealed' ? '' : 'env:NAME'}
        onChange={(event) => { onChange(event.currentTarget.value || undefined) }}
      />
    )
  }
  if (schema.enum !== undefined) {
    const numbers = schema.type === 'integer'
    return (
      <Select
        {...common}
        description={shown}
        data={schema.enum.map((one) => ({ value: String(one), label: one === '' ? '(empty)' : String(one) }))}
        value={String(value ?? schema.default ?? '') || null}
        allowDeselect={!required}
        onChange={(next) => { onChange(next === null ? undefined : numbers ? Number(next) : next) }}
      />
    )
  }
  if (schema.type === 'boolean') {
    return (
      <Switch
        {...common}
        mt={24}
        description={shown}
        checked={Boolean(value ?? schema.default)}
        onChange={(event) => { onChange(event.currentTarget.checked) }}
      />
    )
  }
  if (schema.type === 'integer' || schema.type === 'number') {
    return (
      <NumberInput
        {...common}
        description={`${shown}${empty}`}
        placeholder={otherwise}
        {...(schema.minimum === undefined ? {} : { min: schema.minimum })}
        {...(schema.maximum === undefined ? {} : { max: schema.maximum })}
        allowDecimal={schema.type === 'number'}
        value={(value as number | undefined) ?? ''}
        onChange={(next) => { onChange(next === '' ? undefined : Number(next)) }}
      />
    )
  }
  if (schema.type === 'array' && isText(schema.items)) {
    return <List {...common} description={shown} secret={schema.items?.format === 'password'} value={value} onChange={onChange} />
  }
  if (isText(schema)) {
    return (
      <TextInput
        {...common}
        description={`${shown}${empty}`}
        placeholder={otherwise}
        autoComplete="off"
        spellCheck={false}
        value={String(value ?? '')}
        onChange={(event) => { onChange(event.currentTarget.value || undefined) }}
      />
    )
  }
  return <Document {...common} description={shown} value={value} onChange={onChange} />
}

const isText = (schema: Schema | undefined): boolean =>
  schema !== undefined && (schema.type === 'string' || (schema.anyOf?.every(isText) ?? false))

interface PartProps {
  label: string
  description: string
  required: boolean
  error: string | null
  name: string
  value: unknown
  onChange: (value: unknown) => void
}

function List({ label, description, required, error, name, secret, value, onChange }: PartProps & { secret: boolean }) {
  const values = Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)]
  return (
    <TagsInput
      label={label}
      description={secret ? `${description} ${SECRET}` : description}
      withAsterisk={required}
      error={error}
      name={name}
      placeholder={values.length === 0 ? 'Type one; Enter for another' : ''}
      value={values}
      splitChars={[]}
      clearButtonProps={{ 'aria-label': `Remove all of ${label.toLowerCase()}` }}
      onChange={(next) => { onChange(next.length === 0 ? undefined : next) }}
    />
  )
}

/** What has parts of its own, as JSON. */
function Document({ label, description, required, error, name, value, onChange }: PartProps) {
  const [text, setText] = useState(() => pretty(value))
  const [wrong, setWrong] = useState<string | null>(null)
  return (
    <Textarea
      label={label}
      description={`${description} As JSON.`}
      required={required}
      error={error ?? wrong}
      name={name}
      autosize
      minRows={2}
      styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      placeholder="{}"
      value={text}
      spellCheck={false}
      onChange={(event) => {
        const next = event.currentTarget.value
        setText(next)
        try {
          onChange(next.trim() === '' ? undefined : JSON.parse(next))
          setWrong(null)
        } catch (failed) {
          setWrong(String(failed instanceof Error ? failed.message : failed))
        }
      }}
    />
  )
}

/** What the hub says about settings, by setting: `settings.url: …; settings.queues: …`. The rest is under ''. */
export function settingErrors(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const part of text.split(/; (?=settings\.)/)) {
    const match = /^settings\.([^.:[\s]+)[^:]*: (.*)$/s.exec(part)
    const name = match?.[1] ?? ''
    const said = (match?.[2] ?? part).replace(/^Value error, /, '')
    found[name] = found[name] === undefined ? said : `${found[name]}; ${said}`
  }
  return found
}
