import '@mantine/core/styles.css'
import '@mantine/notifications/styles.css'
import '@mantine/spotlight/styles.css'
import './app/app.css'
import './app/language'

import { createRoot } from 'react-dom/client'

import { App } from './app/App'

const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
