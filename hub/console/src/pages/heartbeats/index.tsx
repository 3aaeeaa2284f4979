import { Coming } from '../Coming'

export default function Heartbeats() {
  return <Coming page="heartbeats" api="GET /heartbeats" />
}
