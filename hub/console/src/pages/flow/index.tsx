import { Coming } from '../Coming'

export default function Flow() {
  return <Coming page="flow" api="GET /flows/{id}" />
}
