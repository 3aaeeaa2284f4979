import { Coming } from '../Coming'

export default function Definitions() {
  return <Coming page="definitions" api="GET /definitions/{kind}" />
}
