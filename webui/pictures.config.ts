import base from './playwright.config'

/** Takes the documentation's pictures of the page: `python -m tools.webui pictures`. */
export default { ...base, testMatch: '*.shoot.ts' }
