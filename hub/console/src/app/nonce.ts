import { setNonce } from 'get-nonce'

/** What style elements have to carry for the page's policy to let them in. CodeMirror: `EditorView.cspNonce.of(nonce)`. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ''

// those that lock scrolling behind dialogs and menus
setNonce(nonce)
