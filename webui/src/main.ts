import { mount } from 'svelte'
import App from './App.svelte'
import { chooseLanguage, loadLanguage } from './lib/i18n'
import { readLook } from './lib/look'
import './styles/base.css'

// Pages are shown without being loaded: what lies beside the page (its icon) would be looked for beside each of them.
for (const link of document.querySelectorAll('link')) link.setAttribute('href', link.href)

await loadLanguage(chooseLanguage(readLook().language, navigator.languages))
mount(App, { target: document.getElementById('app')! })
