import { Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useState } from 'react'

import { hub } from '../../api/client'
import { useChange } from '../../api/hooks'
import { ActionButton } from '../../parts/ActionButton'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { several } from '../../parts/numbers'
import { BRIDGES, isUsable, MappingChoice, mappingOf } from './MappingChoice'
import { Outcome } from './Outcome'
import type { Replayed } from './types'

interface Props {
  /** Of the open letters that are meant. */
  query: string
  /** How many that are; undefined: not known. */
  matched: number | undefined
  isFiltered: boolean
}

/** Send all letters that match again, in one go, through the bridge's mapping or another one. */
export function ReplayAll({ query, matched, isFiltered }: Props) {
  const [isOpen, { open, close }] = useDisclosure()
  const [choice, setChoice] = useState(BRIDGES)
  const replay = useChange(() => hub.post<Replayed>('/dead-letters/replay', { q: query, mapping: mappingOf(choice) ?? null }), ['/dead-letters', '/balance'])
  const what = isFiltered ? 'matching' : 'open'
  return (
    <>
      <ActionButton
        needs="operate"
        refusal={matched === 0 ? `No ${what} letter is there to be sent.` : matched === undefined ? 'Only open letters are sent again: show those.' : null}
        onClick={() => {
          replay.reset()
          open()
        }}
      >
        {matched === undefined || matched === 0 ? 'Send all again' : `Send ${several(matched, 'letter')} again`}
      </ActionButton>
      <Modal opened={isOpen} onClose={close} title={`Send ${several(matched ?? 0, `${what} letter`)} again?`} closeButtonProps={{ 'aria-label': 'Close' }} size="lg" centered>
        <Stack gap="sm">
          {replay.data === undefined ? (
            <>
              <Text>
                Each goes the way that a message of its origin goes today, with the ids that it would have had: what is stored already is not stored a second time. One
                that fails again stays here with one more attempt.
              </Text>
              <MappingChoice value={choice} onChange={setChoice} />
              <ErrorNotice error={replay.error} />
            </>
          ) : (
            <Outcome replayed={replay.data} />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={close} data-autofocus>
              {replay.data === undefined ? 'Cancel' : 'Close'}
            </Button>
            {replay.data === undefined && (
              <Button loading={replay.isPending} disabled={!isUsable(choice)} onClick={() => { replay.mutate() }}>
                Send them again
              </Button>
            )}
          </Group>
        </Stack>
      </Modal>
    </>
  )
}
