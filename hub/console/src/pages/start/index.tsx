import { Coming } from '../Coming'

export default function Start() {
  return <Coming page="start" api="POST /track" />
}
