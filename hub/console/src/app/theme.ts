import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core'

const thames: MantineColorsTuple = [
  '#e6f6f9', '#cfe9ef', '#a0d2de', '#6dbacd', '#46a6bf', '#2e9ab6', '#1b8ba7', '#0b6e83', '#075a6c', '#034655',
]

export const theme = createTheme({
  primaryColor: 'thames',
  primaryShade: { light: 7, dark: 7 },
  colors: { thames },
  autoContrast: true,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  lineHeights: { xs: '1.35', sm: '1.4', md: '1.45' },
  spacing: { xs: '0.5rem', sm: '0.625rem', md: '0.875rem', lg: '1.25rem', xl: '1.75rem' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  focusRing: 'auto',
  headings: {
    fontWeight: '600',
    sizes: { h1: { fontSize: '1.25rem' }, h2: { fontSize: '0.9375rem' }, h3: { fontSize: '0.875rem' } },
  },
  components: {
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
    Button: { defaultProps: { size: 'xs' } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray' } },
    TextInput: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'sm' } },
    // by keyboard and by touch, too
    Tooltip: { defaultProps: { withArrow: true, openDelay: 200, multiline: true, maw: 320, events: { hover: true, focus: true, touch: true } } },
    Table: { defaultProps: { verticalSpacing: 6, horizontalSpacing: 'sm' } },
    Text: { defaultProps: { size: 'md' } },
    // not by colour alone
    Anchor: { defaultProps: { underline: 'always' } },
  },
})

/** Colours that Mantine leaves below a contrast of 4.5, and our own. Use these, not shades, for what must be read. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#ffffff',
    '--mantine-color-text': '#1b2429',
    '--mantine-color-dimmed': '#56626a',
    '--mantine-color-placeholder': '#66717a',
    '--mantine-color-anchor': '#0b6e83',
    '--mantine-color-error': '#b42318',
    '--hub-page': '#f5f7f8',
    '--hub-line': '#dde3e6',
    '--hub-good': '#11703c',
    '--hub-warn': '#8a5300',
    '--hub-bad': '#b42318',
    '--hub-note': '#0b6e83',
    '--hub-idle': '#56626a',
    '--hub-bad-back': '#fdf1f0',
    '--hub-chart-1': '#0b6e83',
    '--hub-chart-2': '#b25e09',
    '--hub-chart-3': '#6b4fbb',
    '--hub-chart-4': '#b42318',
  },
  dark: {
    '--mantine-color-body': '#161b1e',
    '--mantine-color-text': '#dbe2e6',
    '--mantine-color-dimmed': '#9aa7ae',
    '--mantine-color-placeholder': '#8d9aa1',
    '--mantine-color-anchor': '#6dc3d6',
    '--mantine-color-error': '#ff8a80',
    '--hub-page': '#101416',
    '--hub-line': '#2b3439',
    '--hub-good': '#5fcf8c',
    '--hub-warn': '#e9b457',
    '--hub-bad': '#ff8a80',
    '--hub-note': '#6dc3d6',
    '--hub-idle': '#9aa7ae',
    '--hub-bad-back': '#2d1a19',
    '--hub-chart-1': '#55b6cb',
    '--hub-chart-2': '#e59a4c',
    '--hub-chart-3': '#a894ea',
    '--hub-chart-4': '#ff8a80',
  },
})
