import { Coming } from '../Coming'

export default function Flows() {
  return <Coming page="flows" api="GET /flows" />
}
