import { Coming } from '../Coming'

export default function Live() {
  return <Coming page="live" api="GET /tail" />
}
