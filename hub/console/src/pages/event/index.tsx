import { Coming } from '../Coming'

export default function Event() {
  return <Coming page="event" api="GET /events/{id}/trace" />
}
