import { afterEach, describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatDate,
  formatDay,
  formatDuration,
  formatGigabytes,
  formatNumber,
  formatPercent,
  formatTime,
  pickPlural,
  setFormatLanguage,
} from './format'

const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, ' ')

afterEach(() => setFormatLanguage('en'))

describe('formats', () => {
  it('writes sizes with one unit', () => {
    expect([0, 999, 1_000, 1_500, 34_000_000, 999_999, 6_100_000_000, 8e12].map(formatBytes).map(plain)).toEqual([
      '0 B',
      '999 B',
      '1 kB',
      '1.5 kB',
      '34 MB',
      '1 MB',
      '6.1 GB',
      '8 TB',
    ])
    expect(formatGigabytes(6_140_000_000)).toBe('6.1')
  })

  it('writes times as a person says them', () => {
    expect([-1, 0.44, 9.94, 9.96, 59.4, 61, 200, 700, 3_600, 7_500].map(formatDuration).map(plain)).toEqual([
      '0 s',
      '0.4 s',
      '9.9 s',
      '10 s',
      '59 s',
      '1 min 1 s',
      '3 min 20 s',
      '12 min',
      '1 h',
      '2 h 5 min',
    ])
  })

  it('writes numbers in the page’s language', () => {
    setFormatLanguage('de')
    expect(formatNumber(1234.5, 1)).toBe('1.234,5')
    expect(plain(formatPercent(0.69))).toBe('69 %')
    expect(pickPlural(1, { one: 'Bild', other: 'Bilder' })).toBe('Bild')
    expect(pickPlural(0, { one: 'Bild', other: 'Bilder' })).toBe('Bilder')
  })

  it('writes dates with the zone of the reader', () => {
    const iso = new Date(2026, 0, 31, 12, 5).toISOString()
    expect(formatDate(iso)).toContain('Jan 31, 2026')
    expect(formatDay(iso)).toBe('Saturday, January 31, 2026')
    expect(formatTime(iso)).toContain('12:05')
  })
})
