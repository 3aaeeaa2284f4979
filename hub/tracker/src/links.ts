// Links to the other sites of a company take along who it is: `__tr_pid`, `__tr_sid` and `__tr_src`.

const CLICKS = ['click', 'auxclick', 'contextmenu']

/** `domains` and what is below them. A link is completed when it is clicked, so links that come later count as well. */
export function completeLinks(domains: string[], who: () => Record<string, string | undefined>): void {
  const complete = (event: Event): void => {
    const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null | undefined
    const said = who()
    if (!link || !said.__tr_pid || !/^https?:$/.test(link.protocol) || link.host === location.host) return
    if (!domains.some((domain) => isWithin(link.hostname, domain))) return
    const url = new URL(link.href)
    for (const [name, value] of Object.entries(said)) if (value) url.searchParams.set(name, value)
    link.href = url.href
  }
  for (const name of CLICKS) document.addEventListener(name, complete, true)
}

/** evilshop.example is not within shop.example. */
export function isWithin(host: string, domain: string): boolean {
  const bare = domain.toLowerCase().replace(/^\./, '')
  return host === bare || host.endsWith(`.${bare}`)
}
