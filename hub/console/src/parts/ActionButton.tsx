import { Button, type ButtonProps, Tooltip } from '@mantine/core'
import type { ReactNode } from 'react'

import type { Role } from '../api/types'
import { useRefusal } from '../app/session'

interface Props extends Omit<ButtonProps, 'role'> {
  /** That the hub asks for; who has not got it sees why. */
  needs: Role
  onClick: () => void
  /** Why it cannot be done now, apart from the role. */
  refusal?: string | null
  children: ReactNode
}

/** A button that is off, but can be reached and says why, when whoever is logged in may not use it. */
export function ActionButton({ needs, onClick, refusal = null, children, ...button }: Props) {
  const role = useRefusal(needs)
  const why = role ?? refusal
  const made = (
    <Button
      {...button}
      onClick={() => {
        if (why === null) onClick()
      }}
      {...(why === null ? {} : { 'data-disabled': true, 'aria-disabled': true })}
    >
      {children}
    </Button>
  )
  return why === null ? made : <Tooltip label={why}>{made}</Tooltip>
}
