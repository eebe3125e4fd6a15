import { mount } from 'svelte'
import App from './App.svelte'
import { chooseLanguage, loadLanguage } from './lib/i18n'
import { readLook } from './lib/look'
import './styles/base.css'

// Pages are shown without being loaded: what lies beside the page (its icon) would be looked for beside each of them.
for (const link of document.querySelectorAll('link')) link.setAttribute('href', link.href)

// Not awaited at the top: the words import from this very script, which must have ended before they can begin.
void loadLanguage(chooseLanguage(readLook().language, navigator.languages)).then(() =>
  mount(App, { target: document.getElementById('app')! }),
)
