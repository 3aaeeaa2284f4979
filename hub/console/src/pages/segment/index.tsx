import { Coming } from '../Coming'

export default function Segment() {
  return <Coming page="segment" api="GET /segments/{id}" />
}
