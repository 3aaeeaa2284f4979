// A real browser, Chromium without a window, that does what it is told: `browsing.mjs CHROMIUM`, or `browsing.mjs` alone to
// unpack it. A line of JSON is one thing to do, and is answered with one line: {"value": …} or {"error": …}.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

// the clients are installed elsewhere, and import looks for packages beside the file only
const load = (name) => import(pathToFileURL(createRequire(import.meta.url).resolve(name)).href)

if (process.argv.length === 2) {
  const { default: chromium } = await load('@sparticuz/chromium')
  console.log(await chromium.executablePath())
  process.exit(0)
}

const { default: puppeteer } = await load('puppeteer-core')
const browser = await puppeteer.launch({
  executablePath: process.argv[2],
  headless: 'shell',
  // the tests run as root in CI; nothing from elsewhere is loaded
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
})
const context = await browser.createBrowserContext()
const pages = []
const said = []
const asked = []

const actions = {
  async open({ url, before }) {
    const page = await context.newPage()
    page.on('console', (message) => said.push(message.text()))
    page.on('request', (request) => asked.push(request.url()))
    page.on('pageerror', (error) => said.push(`uncaught: ${error.message}`))
    if (before) await page.evaluateOnNewDocument(before)
    await page.goto(url)
    return pages.push(page) - 1
  },
  async go({ page, url }) {
    await pages[page].goto(url)
  },
  evaluate: ({ page, script }) => pages[page].evaluate(script),
  async until({ page, script }) {
    await pages[page].waitForFunction(script, { polling: 50, timeout: 90_000 })
  },
  async when({ page, script }) {
    const at = await pages[page].waitForFunction(`(${script}) && performance.now()`, { polling: 'raf', timeout: 90_000 })
    return at.jsonValue()
  },
  async click({ page, selector }) {
    await Promise.all([pages[page].waitForNavigation(), pages[page].click(selector)])
    return pages[page].url()
  },
  // as a person does it: what it is for has to be in view, and nothing in front of it
  async tap({ page, selector }) {
    await pages[page].locator(selector).setTimeout(30_000).click()
  },
  // with the mouse, from one part of the width to another: 0 is the left edge, 1 the right one
  async drag({ page, selector, from, to }) {
    const element = await pages[page].waitForSelector(selector, { visible: true })
    await element.scrollIntoView()
    const { x, y, width, height } = await element.boundingBox()
    const { mouse } = pages[page]
    await mouse.move(x + width * from, y + height / 2)
    await mouse.down()
    await mouse.move(x + width * to, y + height / 2, { steps: 10 })
    await mouse.up()
  },
  async type({ page, text }) {
    await pages[page].keyboard.type(text)
  },
  // `Tab`, `Enter`, `Control+k`
  async press({ page, keys }) {
    const [key, ...held] = keys.split('+').reverse()
    for (const each of held.reverse()) await pages[page].keyboard.down(each)
    await pages[page].keyboard.press(key)
    for (const each of held) await pages[page].keyboard.up(each)
  },
  async size({ page, width, height }) {
    await pages[page].setViewport({ width, height })
  },
  async scheme({ page, dark }) {
    await pages[page].emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }])
  },
  async picture({ page, path }) {
    await pages[page].screenshot({ path })
  },
  cookies: ({ page }) => pages[page].cookies(),
  async offline({ page, yes }) {
    await pages[page].setOfflineMode(yes)
  },
  async close({ page }) {
    await pages[page].close({ runBeforeUnload: false })
  },
  said: async () => said,
  asked: async () => asked,
}

for await (const line of createInterface({ input: process.stdin })) {
  const { action, ...how } = JSON.parse(line)
  let answer
  try {
    answer = { value: (await actions[action](how)) ?? null }
  } catch (error) {
    answer = { error: String(error) }
  }
  console.log(JSON.stringify(answer))
}
await browser.close()
