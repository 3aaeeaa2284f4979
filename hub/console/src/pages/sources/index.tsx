import { Coming } from '../Coming'

export default function Sources() {
  return <Coming page="sources" api="GET /definitions/source" />
}
