import { Coming } from '../Coming'

export default function Bridge() {
  return <Coming page="bridge" api="GET /bridges/{id}" />
}
