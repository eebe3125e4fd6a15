/** What is compared: the pictures, what tells them apart, and how one looks at them. */
import { api, ask } from '../lib/api/client'
import { apiUrl, outputUrl } from '../lib/address'
import { findDifferences, type Difference, type Told } from '../lib/compare/labels'
import type { Picture } from '../lib/events/apply'
import { desk } from '../state/desk.svelte'
import { notices } from '../state/notices.svelte'

export interface Compared {
  url: string
  difference: Difference
  isStart: boolean
}

/** Opens the comparison of a result with the start picture that it was drawn from. */
export function compareWithStart(picture: Picture): void {
  desk.comparedWithStart = picture
}

export function closeComparison(): void {
  desk.comparedWithStart = null
  desk.compared = []
}

const MOST = 4

class Comparison {
  all = $state.raw<Compared[]>([])

  /** Takes what lies on the desk. Labels come at once, and in full once the server has told the whole prompts. */
  async open(signal: AbortSignal): Promise<void> {
    const result = desk.comparedWithStart
    const pictures = result ? [result] : desk.compared.slice(0, MOST)
    this.take(pictures, pictures, result)
    try {
      const told = await Promise.all(
        pictures.map((one) =>
          ask(
            (limited) =>
              api.GET('/gallery/{picture_id}', { params: { path: { picture_id: one.id } }, signal: limited }),
            { signal },
          ),
        ),
      )
      this.take(pictures, told, result)
    } catch (thrown) {
      notices.tellError(thrown)
    }
  }

  private take(pictures: readonly Picture[], told: readonly Told[], result: Picture | null): void {
    const differences = findDifferences(told)
    const shown = pictures.map((one, at) => ({
      url: outputUrl(one.path, one.version),
      difference: differences[at]!,
      isStart: false,
    }))
    const start = result?.job_id
      ? [{ url: apiUrl(`jobs/${result.job_id}/inputs/init_image`), difference: {}, isStart: true }]
      : []
    this.all = [...start, ...shown]
  }
}

export const comparison = new Comparison()
