/** Server-sent events of an answer, one after the other, until it ends. */
export interface Message {
  event: string
  data: string
}

export async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      rest += value.replaceAll('\r\n', '\n')
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const found = messageOf(rest.slice(0, end))
        rest = rest.slice(end + 2)
        if (found) yield found
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

/** Comments and what has no data are nothing. */
function messageOf(block: string): Message | null {
  let event = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const value = line.slice(colon + 1).replace(/^ /, '')
    if (line.startsWith('event:')) event = value
    else if (line.startsWith('data:')) data.push(value)
  }
  return data.length > 0 ? { event, data: data.join('\n') } : null
}
