/** Every kind of definition, in the order in which people look for them. */
export interface Kind {
  kind: string
  title: string
  about: string
  /** The page that shows one of them better than JSON does. */
  page?: (id: string) => string
}

export const KINDS: Kind[] = [
  { kind: 'source', title: 'Sources', about: 'Who may send events.', page: (id) => `/sources?id=${encodeURIComponent(id)}` },
  { kind: 'bridge', title: 'Bridges', about: 'Queues that the hub reads.', page: (id) => `/bridges/${encodeURIComponent(id)}` },
  { kind: 'destination', title: 'Destinations', about: 'Systems that stored events are sent to.', page: (id) => `/bridges/${encodeURIComponent(id)}?of=destination` },
  { kind: 'segment', title: 'Segments', about: 'Groups of customers that keep themselves up to date.', page: (id) => `/segments/${encodeURIComponent(id)}` },
  { kind: 'flow', title: 'Flows', about: 'Workflows that events and segments start.', page: (id) => `/flows/${encodeURIComponent(id)}` },
  { kind: 'flow-draft', title: 'Flow drafts', about: 'Flows that are not in force yet.', page: (id) => `/flows/${encodeURIComponent(id)}` },
  { kind: 'heartbeat', title: 'Heartbeats', about: 'Events that are sent for many profiles at a time.' },
  { kind: 'event-type', title: 'Event types', about: 'What events of a type have in common, and what goes into profiles.' },
  { kind: 'mapping', title: 'Mappings', about: 'Copy event properties into profile fields.' },
  { kind: 'identification-point', title: 'Identification points', about: 'Which property says who somebody is.' },
  { kind: 'filter', title: 'Filters', about: 'Events that are not kept.' },
  { kind: 'validator', title: 'Validators', about: 'What events have to look like.' },
  { kind: 'reshaper', title: 'Reshapers', about: 'Bring events into shape.' },
  { kind: 'data-compliance', title: 'Data compliance', about: 'What may be kept only with a consent.' },
  { kind: 'consent-type', title: 'Consent types', about: 'What customers may agree to.' },
  { kind: 'pseudonym', title: 'Pseudonyms', about: 'Values that nobody shall know.' },
  { kind: 'retention', title: 'Retention', about: 'How long events are kept.' },
  { kind: 'redirect', title: 'Redirects', about: 'Links that count.' },
  { kind: 'api-key', title: 'API keys', about: 'Who may ask and change what.' },
]

/** What the API's description calls the kind: consent-type is ConsentType. */
export const schemaOf = (kind: string): string =>
  kind
    .split('-')
    .map((word) => (word === 'api' ? 'Api' : word.charAt(0).toUpperCase() + word.slice(1)))
    .join('')
