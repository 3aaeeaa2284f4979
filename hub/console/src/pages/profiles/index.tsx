import { Coming } from '../Coming'

export default function Profiles() {
  return <Coming page="profiles" api="GET /profiles" />
}
