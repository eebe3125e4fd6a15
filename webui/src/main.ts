import { mount } from 'svelte'
import App from './App.svelte'
import { chooseLanguage, loadLanguage } from './lib/i18n'
import { readLook } from './lib/look'
import './styles/base.css'

await loadLanguage(chooseLanguage(readLook().language, navigator.languages))
mount(App, { target: document.getElementById('app')! })
