/** Code to copy. Names in it are those of a source, which may be any text: each is written so that its language reads just that. */

export interface Snippet {
  id: string
  label: string
  /** What to do with it, and what has to be there. */
  about: string
  code: string
}

/** As a word of a POSIX shell. */
export const shell = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** As a text of JavaScript and Python, also within a page's script element. */
export const quoted = (text: string): string =>
  JSON.stringify(text)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029')

/** As the value of an attribute in double quotes. */
const attribute = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')

const payload = (source: string, indent: number) =>
  JSON.stringify(
    {
      source: { id: source },
      session: { id: 'first-session' },
      profile: { id: 'first-customer' },
      events: [{ type: 'purchase', properties: { amount: 25.5, currency: 'GBP' } }],
    },
    null,
    indent,
  )

/** Args: host: of the hub, without a slash at its end. writeKey: undefined: it has none. */
export function snippets(host: string, source: string, writeKey: string | undefined): Snippet[] {
  return [page(host, source), curl(host, source), python(host, source), ...(writeKey ? segment(host, writeKey) : [])]
}

function page(host: string, source: string): Snippet {
  return {
    id: 'page',
    label: 'Web page',
    about:
      'Save it as a file and open it in a browser, or put the two script elements into your pages. It sends a page view; ' +
      'events are kept in the browser until the hub has them.',
    code: `<!doctype html>
<title>First event</title>
<script>
window.tracker = {q: [], track(...call) { this.q.push(call) }}
tracker.track('page-view', {page: 'first'})
</script>
<script async src="${attribute(host)}/tracker/tracker.js" data-source="${attribute(source)}"></script>
`,
  }
}

function curl(host: string, source: string): Snippet {
  return {
    id: 'curl',
    label: 'curl',
    about: 'Paste it into a terminal. The answer comes when Kafka has the event.',
    code: `curl -sS ${shell(`${host}/track`)} -H 'Content-Type: application/json' -d ${shell(payload(source, 2))}
`,
  }
}

function python(host: string, source: string): Snippet {
  return {
    id: 'python',
    label: 'Python',
    about: 'Python 3, nothing to install. A retry with the same event id is stored once.',
    code: `import json
import urllib.request
import uuid

payload = {
    "source": {"id": ${quoted(source)}},
    "session": {"id": "first-session"},
    "profile": {"id": "first-customer"},
    "events": [
        {"id": str(uuid.uuid4()), "type": "purchase", "properties": {"amount": 25.5, "currency": "GBP"}}
    ],
}
request = urllib.request.Request(
    ${quoted(`${host}/track`)},
    data=json.dumps(payload).encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(answer.status, answer.read().decode())
`,
  }
}

function segment(host: string, writeKey: string): Snippet[] {
  return [
    {
      id: 'segment',
      label: 'Segment SDK',
      about: 'pip install segment-analytics-python. Segment’s and RudderStack’s other clients take the same host and write key.',
      code: `import segment.analytics as analytics

analytics.write_key = ${quoted(writeKey)}
analytics.host = ${quoted(host)}

analytics.track("first-customer", "Order Completed", {"total": 25.5, "currency": "GBP"})
analytics.flush()
`,
    },
    {
      id: 'segment-http',
      label: 'Segment HTTP',
      about: 'The same call without a client, in a terminal.',
      code: `curl -sS ${shell(`${host}/v1/track`)} -H ${shell(`Authorization: Bearer ${writeKey}`)} -d '{
  "event": "Order Completed",
  "userId": "first-customer",
  "properties": {"total": 25.5, "currency": "GBP"}
}'
`,
    },
  ]
}

/** For a topic that a bridge reads. Args: brokers: host:port, with commas between. */
export function kafka(brokers: string, topic: string): Snippet {
  return {
    id: 'kafka',
    label: 'Kafka',
    about: 'pip install confluent-kafka. The message has the shape of /track, so the bridge needs no mapping.',
    code: `import json
import uuid

from confluent_kafka import Producer

event = {"id": str(uuid.uuid4()), "type": "purchase", "properties": {"amount": 25.5, "currency": "GBP"}}
message = {"profile": {"id": "first-customer"}, "events": [event]}

producer = Producer({"bootstrap.servers": ${quoted(brokers)}})
producer.produce(
    ${quoted(topic)},
    json.dumps(message).encode(),
    key=b"first-customer",
    on_delivery=lambda error, _: print(error or "Kafka has it"),
)
producer.flush()
`,
  }
}
