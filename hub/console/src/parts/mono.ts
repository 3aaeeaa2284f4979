/** `styles` of inputs for ids, queries and JSON: the text is of one width, label and description are not. */
export const mono = { input: { fontFamily: 'var(--mantine-font-family-monospace)' } }
