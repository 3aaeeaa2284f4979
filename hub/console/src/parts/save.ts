/** Give a file to whoever looks, as the browser saves it. */
export function save(name: string, content: Blob): void {
  const at = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = at
  link.download = name
  link.click()
  // the browser has begun by then
  setTimeout(() => {
    URL.revokeObjectURL(at)
  }, 10_000)
}
