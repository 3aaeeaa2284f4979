import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// what `npm run dev` asks for events and definitions: HUB_URL, else a hub on its usual port
const hub = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env['HUB_URL']

export default defineConfig({
  base: '/console/',
  plugins: [react()],
  // the hub puts one of its own into each answer, see hub/api/console.py
  html: { cspNonce: 'NONCE-OF-THE-REQUEST' },
  build: {
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      // all but the console itself, whose session is the hub's
      '^/(?!console(/|$)|@|node_modules|src)': { target: hub ?? 'http://127.0.0.1:8686' },
      '/console/session': { target: hub ?? 'http://127.0.0.1:8686' },
    },
  },
})
