import { Button, Group, Stack, Stepper, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useLocation, useSearchParams } from 'wouter'

import { hub, path, Problem, url } from '../../api/client'
import { useChange, useGet } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { Json } from '../../parts/Json'
import { Loading } from '../../parts/Loading'
import { PageHeader } from '../../parts/PageHeader'
import { Panel } from '../../parts/Panel'
import { settingErrors } from '../../parts/SettingsForm'
import { ChooseKind } from './ChooseKind'
import { type Draft, draftOf, empty, prefilled, specOf, withSuggestion } from './draft'
import { type Made, type Sample, sampleOf, type Tested } from './mapping'
import { MappingStep } from './MappingStep'
import { SendStep } from './SendStep'
import type { Rehearsed } from './Sent'
import { SettingsStep } from './SettingsStep'
import { type Definition, type Kind, labelOf, nameOf, NEW, type Of } from './types'

interface Answer {
  ok?: boolean
  error?: { cause: string; mend: string }
  messages: (Tested & Made)[]
}

const SAMPLES = 5

/** From nothing, or from what is defined, to a bridge or a destination that runs. */
export default function Wizard({ of, id }: { of: Of; id: string | null }) {
  const kinds = useGet<{ items: Kind[] }>(`/${of}s/types`)
  const definition = useQuery<Definition>({
    queryKey: ['edited', of, id],
    queryFn: ({ signal }) => hub.get<Definition>(path`/definitions/${of}/${id ?? ''}`, {}, signal),
    enabled: id !== null,
    // what is being edited is not changed by what others do meanwhile; saving tells
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  })
  const error = kinds.error ?? definition.error
  if (kinds.data === undefined || (id !== null && definition.data === undefined)) {
    return error === null ? <Loading /> : <ErrorNotice error={error} retry={() => void kinds.refetch()} />
  }
  return <Steps of={of} kinds={kinds.data.items} {...(definition.data ? { definition: definition.data } : {})} />
}

function Steps({ of, kinds, definition }: { of: Of; kinds: Kind[]; definition?: Definition }) {
  const [search, setSearch] = useSearchParams()
  const [, go] = useLocation()
  const given = kinds.find(({ type, settings }) => type === search.get('type') && settings !== null)
  const [draft, setDraft] = useState<Draft>(() =>
    definition ? draftOf(of, definition) : { ...empty(of), type: given?.type ?? '', source: search.get('source') ?? '', settings: prefilled(given, search) },
  )
  const [step, setStep] = useState(draft.type === '' ? 0 : 1)
  const [samples, setSamples] = useState<Sample[]>([])
  const [long, setLong] = useState(new Map<string, Made>())
  const form = useRef<HTMLFormElement>(null)
  const kind = kinds.find(({ type }) => type === draft.type)
  const isBrought = kind?.brought ?? false
  const change = (part: Partial<Draft>) => { setDraft((before) => ({ ...before, ...part })) }

  const test = useChange(() =>
    hub.post<Answer>(path`/${of}s/${draft.id}/test`, {
      definition: specOf(draft, draft.version !== null && Boolean(draft.more['enabled'] ?? true)),
      ...(of === 'bridge' ? { messages: SAMPLES } : { q: draft.condition }),
    }),
  )
  const save = useChange(
    (enabled: boolean) =>
      hub.put(path`/definitions/${of}/${draft.id}`, specOf(draft, enabled), {
        headers: draft.version === null ? { 'If-None-Match': '*' } : { 'If-Match': `"${draft.version}"` },
      }),
    [`/${of}s`, path`/definitions/${of}`],
  )
  const failed = test.data?.error
  const said = failed?.cause ?? (test.error instanceof Problem ? test.error.message : '')
  const { '': rest, ...errors } = said === '' ? ({} as Record<string, string>) : settingErrors(said)

  function look() {
    if (isBrought) {
      setStep(2)
      return
    }
    test.mutate(undefined, {
      onSuccess: (answer) => {
        if (answer.error) return
        if (of === 'bridge') {
          const found = answer.messages.map(sampleOf)
          setSamples((before) => [...found, ...before.filter(({ position }) => position === '')])
          setLong(new Map(answer.messages.map((one) => [one.position, one])))
          setDraft((before) => withSuggestion(before, found[0]?.body))
        }
        setStep((now) => Math.max(now, 2))
      },
    })
  }

  // a new step begins at its top, for the eye and the keyboard
  useEffect(() => {
    document.getElementById('hub-step')?.focus()
    scrollTo({ top: 0 })
  }, [step])

  const word = of === 'bridge' ? 'queue' : 'destination'
  const list = of === 'bridge' ? '/bridges' : '/bridges?tab=destinations'
  const isMarked = Object.keys(errors).length > 0
  const notice = isMarked
    ? new Problem(422, 'Correct what is marked.', rest === undefined ? '' : sentence(rest), '', {})
    : failed
      ? new Problem(422, sentence(rest ?? ''), sentence(failed.mend))
      : test.error
  return (
    <>
      <PageHeader
        title={definition ? `Edit ${nameOf({ name: definition.spec.name, id: definition.id })}` : of === 'bridge' ? 'Connect a queue' : 'New destination'}
        about="Nothing is taken, sent or saved before the last step."
        above={[{ label: of === 'bridge' ? 'Bridges' : 'Destinations', to: list }]}
      />
      <Stepper
        active={step}
        size="xs"
        mb="md"
        iconSize={26}
        onStepClick={setStep}
        allowNextStepsSelect={false}
      >
        <Stepper.Step label="Kind" {...(draft.type ? { description: labelOf(draft.type) } : {})} allowStepSelect={draft.version === null && step > 0} />
        <Stepper.Step label="Settings" allowStepSelect={step > 1} />
        <Stepper.Step label={of === 'bridge' ? 'Messages and mapping' : 'What is sent'} allowStepSelect={step > 2} />
        <Stepper.Step label="Activate" />
      </Stepper>
      <div id="hub-step" tabIndex={-1} style={{ outline: 'none' }}>
        {step === 0 && (
          <ChooseKind
            kinds={kinds}
            chosen={draft.type}
            choose={(type) => {
              change(type === draft.type ? {} : { type, settings: {} })
              setSearch({ ...(of === 'bridge' ? {} : { of }), type }, { replace: true })
              test.reset()
              setStep(1)
            }}
          />
        )}
        {step === 1 && kind !== undefined && (
          <form
            ref={form}
            onSubmit={(event) => {
              event.preventDefault()
              look()
            }}
          >
            <Stack gap="md" className="hub-panel">
              <SettingsStep draft={draft} kind={kind} errors={errors} change={change} />
              <ErrorNotice error={notice} />
              <Group justify="space-between">
                <Button variant="default" onClick={() => { go(list) }}>
                  Cancel
                </Button>
                <ActionButton
                  needs="admin"
                  size="sm"
                  loading={test.isPending}
                  refusal={of === 'bridge' && draft.source === '' ? 'Choose an event source first.' : draft.id === '' || draft.id === NEW ? 'Give it a name first.' : null}
                  onClick={() => form.current?.requestSubmit()}
                >
                  {isBrought ? 'Next' : of === 'bridge' ? 'Test the connection' : 'See what it would send'}
                </ActionButton>
              </Group>
            </Stack>
            {/* Enter in a field does the same */}
            <button type="submit" hidden aria-hidden tabIndex={-1} />
          </form>
        )}
        {step === 2 && of === 'bridge' && (
          <MappingStep
            draft={draft}
            samples={samples}
            change={change}
            setSamples={(next) => {
              setSamples(next)
              setDraft((before) => withSuggestion(before, next[0]?.body))
            }}
            look={isBrought ? null : look}
            isLooking={test.isPending}
            long={long}
          />
        )}
        {step === 2 && of === 'destination' && (
          <SendStep draft={draft} change={change} shown={test.data?.messages as unknown as Rehearsed[] | undefined} error={notice} isLooking={test.isPending} look={look} />
        )}
        {step === 2 && (
          <Stack gap="sm" mt="md">
            {of === 'bridge' && <ErrorNotice error={notice} />}
            <Group justify="space-between">
              <Button variant="default" onClick={() => { setStep(1) }}>
                Back
              </Button>
              <Button size="sm" disabled={!isJson(draft)} onClick={() => { setStep(3) }}>
                Next
              </Button>
            </Group>
          </Stack>
        )}
        {step === 3 && (
          <Panel title={definition ? 'Save the change' : 'Activate it'}>
            <Stack gap="sm">
              <Text>
                {of === 'bridge'
                  ? 'From now on the hub takes messages from the queue, and acknowledges each after Kafka has it. It can be paused at any time.'
                  : 'From now on the hub sends what is stored. It can be paused at any time.'}
              </Text>
              <Json value={hidden(specOf(draft, true), kind)} label={`The ${word} as it will be saved`} most={320} />
              <ErrorNotice error={save.error} />
              <Group justify="space-between">
                <Button variant="default" onClick={() => { setStep(2) }}>
                  Back
                </Button>
                <Group gap="xs">
                  <ActionButton needs="admin" variant="default" size="sm" loading={save.isPending} onClick={() => { finish(false) }}>
                    Save, switched off
                  </ActionButton>
                  <ActionButton needs="admin" size="sm" loading={save.isPending} onClick={() => { finish(true) }}>
                    {definition ? 'Save and run' : 'Activate'}
                  </ActionButton>
                </Group>
              </Group>
            </Stack>
          </Panel>
        )}
      </div>
    </>
  )

  function finish(enabled: boolean) {
    save.mutate(enabled, {
      onSuccess: () => { go(url(path`/bridges/${draft.id}`, of === 'bridge' ? {} : { of })) },
    })
  }
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

function isJson(draft: Draft): boolean {
  try {
    specOf(draft, true)
    return true
  } catch {
    return false
  }
}

/** For people to look at: without the secrets that were typed. */
function hidden(spec: Record<string, unknown>, kind: Kind | undefined): Record<string, unknown> {
  const settings = { ...(spec['settings'] as Record<string, unknown>) }
  const hide = (value: string) => (/^(env:|file:|sealed)/.test(value) || value === '' ? value : '(will be sealed)')
  for (const [name, schema] of Object.entries(kind?.settings?.properties ?? {})) {
    const value = settings[name]
    if (schema.format === 'password' && typeof value === 'string') settings[name] = hide(value)
    if (schema.items?.format === 'password' && Array.isArray(value)) settings[name] = value.map((one) => hide(String(one)))
  }
  return { ...spec, settings }
}
