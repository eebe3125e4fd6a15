/** Writes months in the page's language. */
export function nameMonth(month: string, style: 'long' | 'short' | 'year'): string {
  if (style === 'year') return month.slice(0, 4)
  const options = style === 'long' ? ({ month: 'long', year: 'numeric' } as const) : ({ month: 'short' } as const)
  return new Intl.DateTimeFormat(document.documentElement.lang, options).format(new Date(`${month}-15T12:00`))
}
