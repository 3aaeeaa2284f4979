import { Coming } from '../Coming'

export default function Tasks() {
  return <Coming page="tasks" api="GET /tasks" />
}
