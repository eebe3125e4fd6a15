/** Writes numbers, sizes and times as a person reads them. All by `Intl`, in the page's language. */
let language = 'en'

export function setFormatLanguage(next: string): void {
  language = next
}

const formats = new Map<string, Intl.NumberFormat>()
function numberFormat(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = language + JSON.stringify(options)
  let format = formats.get(key)
  if (!format) formats.set(key, (format = new Intl.NumberFormat(language, options)))
  return format
}

export function formatNumber(value: number, digits = 0): string {
  return numberFormat({ maximumFractionDigits: digits }).format(value)
}

export function formatPercent(share: number): string {
  return numberFormat({ style: 'percent', maximumFractionDigits: 0 }).format(share)
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Joins a number and its unit's international sign so that no line breaks between them. */
function withUnit(value: number, unit: string, digits = 0): string {
  return `${formatNumber(value, digits)}\u00a0${unit}`
}

/** Writes a number of bytes: 999 B, 1.2 kB, 34 MB, 6.1 GB (powers of 1,000, as files are sold and told). */
export function formatBytes(bytes: number): string {
  let unit = 0
  let value = bytes
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  return withUnit(value, UNITS[unit]!, unit >= 3 || (unit > 0 && Math.abs(value) < 10) ? 1 : 0)
}

/** Writes memory as pairs are read: "6.1 of 8 GB" needs both in one unit. */
export function formatGigabytes(bytes: number): string {
  return numberFormat({ maximumFractionDigits: 1 }).format(bytes / 1e9)
}

/** Writes a length of time in seconds: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return withUnit(Math.max(0, seconds), 's', 1)
  const whole = Math.round(seconds)
  if (whole < 60) return withUnit(whole, 's')
  const minutes = Math.floor(whole / 60)
  if (minutes < 10 && whole % 60) return `${withUnit(minutes, 'min')} ${withUnit(whole % 60, 's')}`
  if (minutes < 60) return withUnit(Math.round(whole / 60), 'min')
  const hours = Math.floor(minutes / 60)
  return minutes % 60 ? `${withUnit(hours, 'h')} ${withUnit(minutes % 60, 'min')}` : withUnit(hours, 'h')
}

export function formatDate(iso: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso))
}

export function formatDay(iso: string): string {
  return new Intl.DateTimeFormat(language, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }).format(
    new Date(iso),
  )
}

export function formatTime(iso: string): string {
  return new Intl.DateTimeFormat(language, { timeStyle: 'short' }).format(new Date(iso))
}

/** Chooses the word that fits a number in the page's language; `other` serves for every form that is not given. */
export function pickPlural(count: number, forms: { one?: string; few?: string; many?: string; other: string }): string {
  const form = new Intl.PluralRules(language).select(count) as keyof typeof forms
  return forms[form] ?? forms.other
}
