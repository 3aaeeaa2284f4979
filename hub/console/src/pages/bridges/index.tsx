import { Coming } from '../Coming'

export default function Bridges() {
  return <Coming page="bridges" api="GET /bridges" />
}
