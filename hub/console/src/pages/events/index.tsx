import { Coming } from '../Coming'

export default function Events() {
  return <Coming page="events" api="GET /events" />
}
