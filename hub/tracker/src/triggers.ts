// Events of elements that carry `data-tracardi-tag`: seen, or text in them selected.

import type { Trigger } from './options.ts'

type Fire = (type: string, properties: Record<string, unknown>) => void

export function setTriggers(triggers: Trigger[], fire: Fire): void {
  for (const { trigger, tag, data } of triggers) {
    const happened = (element: Element, more: Record<string, unknown>): void =>
      fire(data.event, { ...data.properties, ...said(element), ...more })
    for (const element of document.querySelectorAll(`[data-tracardi-tag="${CSS.escape(tag)}"]`)) {
      if (trigger === 'onVisible') {
        once(element, () => happened(element, {}))
        continue
      }
      const selected = (): void => {
        const text = String(getSelection() ?? '')
        if (text) happened(element, { text })
      }
      const names = trigger === 'onTextSelect' ? ['mouseup', 'touchend'] : ['mouseover']
      for (const name of names) element.addEventListener(name, selected)
    }
  }
}

function once(element: Element, seen: () => void): void {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return
      observer.disconnect()
      seen()
    },
    { threshold: 0.1 },
  )
  observer.observe(element)
}

function said(element: Element): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  const name = ['alt', 'title', 'aria-label'].find((attribute) => element.hasAttribute(attribute))
  if (name) found.label = element.getAttribute(name)
  if (element.hasAttribute('src')) found.url = element.getAttribute('src')
  return found
}
