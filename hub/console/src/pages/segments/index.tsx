import { Coming } from '../Coming'

export default function Segments() {
  return <Coming page="segments" api="GET /segments" />
}
