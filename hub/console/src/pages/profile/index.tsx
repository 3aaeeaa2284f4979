import { Coming } from '../Coming'

export default function Profile() {
  return <Coming page="profile" api="GET /profiles/{id}" />
}
