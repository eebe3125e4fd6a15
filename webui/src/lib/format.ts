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

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

/** Writes a number of bytes: 999 byte, 1.2 kB, 34 MB, 6.1 GB (powers of 1,000, as files are sold and told). */
export function formatBytes(bytes: number): string {
  let unit = 0
  let value = bytes
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit >= 3 || (unit > 0 && Math.abs(value) < 10) ? 1 : 0
  return numberFormat({
    style: 'unit',
    unit: UNITS[unit]!,
    unitDisplay: 'short',
    maximumFractionDigits: digits,
  }).format(value)
}

/** Writes memory as pairs are read: "6.1 of 8 GB" needs both in one unit. */
export function formatGigabytes(bytes: number): string {
  return numberFormat({ maximumFractionDigits: 1 }).format(bytes / 1e9)
}

/** Writes a length of time in seconds: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min. */
export function formatDuration(seconds: number): string {
  const unit = (value: number, name: string, digits = 0): string =>
    numberFormat({ style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: digits }).format(value)
  if (seconds < 9.95) return unit(Math.max(0, seconds), 'second', 1)
  const whole = Math.round(seconds)
  if (whole < 60) return unit(whole, 'second')
  const minutes = Math.floor(whole / 60)
  if (minutes < 60)
    return whole % 60 && minutes < 10
      ? `${unit(minutes, 'minute')} ${unit(whole % 60, 'second')}`
      : unit(Math.round(whole / 60), 'minute')
  const hours = Math.floor(minutes / 60)
  return minutes % 60 ? `${unit(hours, 'hour')} ${unit(minutes % 60, 'minute')}` : unit(hours, 'hour')
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
