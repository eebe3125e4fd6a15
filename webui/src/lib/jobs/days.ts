/** Sorts jobs into the days on which they were sent, in the time zone of whoever looks. */

export interface Day<T> {
  /** `2026-01-31`, in local time. */
  date: string
  /** How many days ago: 0 is today, 1 is yesterday. */
  ago: number
  items: T[]
}

export function groupByDay<T extends { created_at: string }>(items: readonly T[], now: Date = new Date()): Day<T>[] {
  const today = startOfDay(now)
  const days = new Map<string, Day<T>>()
  for (const item of items) {
    const moment = new Date(item.created_at)
    const date = nameDay(moment)
    let day = days.get(date)
    // Rounded: a day on which the clock is changed has 23 or 25 hours.
    if (!day) days.set(date, (day = { date, ago: Math.round((today - startOfDay(moment)) / 86_400_000), items: [] }))
    day.items.push(item)
  }
  return [...days.values()]
}

function startOfDay(moment: Date): number {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime()
}

function nameDay(moment: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`
}

/** Whole days in so many seconds, where a person would count in days; null where hours say more. */
export function countDays(seconds: number): number | null {
  const days = Math.round(seconds / 86_400)
  return days >= 2 ? days : null
}
