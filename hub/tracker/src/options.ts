// What a page says about its tracker: `options` in a script, or attributes of the script element.

export interface Ref {
  id: string
}

export interface Contexts {
  browser?: boolean
  cookies?: boolean
  page?: boolean
  performance?: boolean
  screen?: boolean
  storage?: boolean
  tracardiPass?: boolean
  utm?: boolean
}

export interface Trigger {
  trigger: 'onVisible' | 'onTextSelect' | 'onMouseOver'
  tag: string
  data: { event: string; properties?: Record<string, unknown> }
}

export interface TrackerOptions {
  url: { api: string }
  source: Ref
  profile?: Ref
  context?: Contexts
  settings?: { respectDoNotTrack?: boolean; consentRequired?: boolean; trackExternalLinks?: string[] }
  auto?: { events?: [string, Record<string, unknown>?][]; triggers?: Trigger[] }
}

export interface Options {
  tracker: TrackerOptions
  /** Of the device, as the page knows it: goes into `context.device`. */
  context?: Record<string, unknown>
}

/**
 * The options in force, or what is wrong with them.
 *
 * `given` wins over the element's `data-source`, `data-api` and `data-options` (JSON, the `tracker` part). Without an
 * address of the API it is where the script came from.
 */
export function optionsOf(given: Partial<Options> | undefined, script: HTMLOrSVGScriptElement | null): Options | string {
  const data = (script && 'src' in script && script.dataset) || {}
  let attributes: Partial<TrackerOptions> = {}
  try {
    attributes = JSON.parse(data.options || '{}')
  } catch {
    return 'data-options is not JSON'
  }
  const said: Partial<TrackerOptions> = { ...attributes, ...given?.tracker }
  const id = said.source?.id || data.source
  if (typeof id !== 'string' || !id.trim()) return 'options.tracker.source.id is missing'
  const src = script && 'src' in script ? script.src : ''
  const api = said.url?.api ?? data.api ?? (src && new URL('..', src).href)
  if (typeof api !== 'string') return 'options.tracker.url.api is missing'
  return {
    context: given?.context,
    tracker: { ...said, source: { id: id.trim() }, url: { api: api.replace(/\/+$/, '') } },
  }
}
