// Chromium on a machine without a language calls it `en-US@posix`, on which Intl fails, and with it uPlot as it is loaded.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' })
}

export {}
