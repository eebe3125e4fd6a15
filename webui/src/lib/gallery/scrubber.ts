/** Where months and days lie along a list that is newest first. */
export interface MonthCount {
  month: string
  count: number
  days: { date: string; count: number }[]
}

export interface MonthPlace {
  /** `2026-11`. */
  month: string
  count: number
  /** The first picture of it. */
  index: number
}

export function placeMonths(months: readonly MonthCount[]): MonthPlace[] {
  let index = 0
  return months.map(({ month, count }) => {
    const place = { month, count, index }
    index += count
    return place
  })
}

/** Which day a place of the list is of; empty where the list is. */
export function dayAt(months: readonly MonthCount[], index: number): string {
  let left = index
  for (const { count, days } of months) {
    if (left >= count) {
      left -= count
      continue
    }
    for (const day of days) {
      if (left < day.count) return day.date
      left -= day.count
    }
  }
  return months.at(-1)?.days.at(-1)?.date ?? ''
}

export interface Mark {
  month: string
  index: number
  /** From the top of the track, in pixels. */
  y: number
  /** Whether it is the first that is told of its year. */
  isYear: boolean
}

/** Chooses the months that are written beside the track, `apart` pixels from each other at least. A year that begins is always told if there is room. */
export function placeMarks(places: readonly MonthPlace[], total: number, height: number, apart: number): Mark[] {
  const marks: Mark[] = []
  let told = ''
  for (const { month, index } of places) {
    const y = total > 0 ? (index / total) * height : 0
    const last = marks.at(-1)
    if (y > height - apart / 2 || (last && y - last.y < apart)) continue
    const year = month.slice(0, 4)
    marks.push({ month, index, y, isYear: year !== told })
    told = year
  }
  return marks
}

/** Which picture a place on the track stands for. */
export function indexAtTrack(y: number, height: number, total: number): number {
  return Math.max(0, Math.min(total - 1, Math.floor((y / Math.max(1, height)) * total)))
}
