// Ids that are made once, in the browser.

/** A UUID of version 7 (RFC 9562): the time in front, so that ids made one after the other lie side by side in a store. */
export function uuid7(nowMs: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16)) // randomUUID is only there in secure contexts
  const time = Math.floor(nowMs).toString(16).padStart(12, '0')
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const rest = Array.from(bytes.subarray(6), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [time.slice(0, 8), time.slice(8), rest.slice(0, 4), rest.slice(4, 8), rest.slice(8)].join('-')
}
