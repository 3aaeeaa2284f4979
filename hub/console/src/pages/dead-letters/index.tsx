import { Coming } from '../Coming'

export default function DeadLetters() {
  return <Coming page="dead-letters" api="GET /dead-letters" />
}
