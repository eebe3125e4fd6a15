/** Remembers what of the settings is open and searched for, and brings a field into view. */
import { tick } from 'svelte'
import { sectionOf } from '../../lib/settings/sections'

const PHONE = '(max-width: 760px)'

interface ModelChecks {
  /** Those that are chosen at first. */
  checked: readonly string[]
  /** Whether they draw at once: then it is told how long that takes. */
  showsTime: boolean
  take: (names: string[]) => void
}

class Panel {
  /** Which folded sections are open. */
  open = $state<Record<string, boolean>>({})
  query = $state('')
  changedOnly = $state(false)
  /** Whether all settings are shown in a sheet, on a phone. */
  showsSheet = $state(false)
  showsPicker = $state(false)
  /** What several models are being chosen for; null: for nothing. */
  checks = $state.raw<ModelChecks | null>(null)
  isPhone = $state(matchMedia(PHONE).matches)
  /** How high the dock of a phone is, which covers the end of the page. */
  dockHeight = $state(0)

  /** Follows the width of the window. Returns what ends that. */
  watchWidth(): () => void {
    const narrow = matchMedia(PHONE)
    const look = (): void => {
      this.isPhone = narrow.matches
      if (!narrow.matches) this.showsSheet = false
    }
    look()
    narrow.addEventListener('change', look)
    return () => narrow.removeEventListener('change', look)
  }

  /** Opens whatever hides a field, and puts the focus on it. */
  async reveal(field: string): Promise<void> {
    const section = sectionOf(field)
    if (!BESIDE_START.includes(field)) {
      if (this.isPhone) this.showsSheet = true
      this.query = ''
      this.changedOnly = false
      if (section) this.open[section] = true
      if (field === 'width' || field === 'height') this.open.size = true
    }
    await tick()
    const place = document.querySelector<HTMLElement>(`[data-field="${CSS.escape(field)}"]`)
    const control = place?.querySelector<HTMLElement>('textarea') ?? place?.querySelector<HTMLElement>(CONTROLS)
    control?.focus()
    place?.scrollIntoView({ block: 'nearest' })
  }
}

/** What stands beside the start on a phone, too. */
const BESIDE_START = ['prompt', 'negative_prompt', 'model_name']
const CONTROLS = 'input:not([type=range], [type=file]), select, .btn'

export const panel = new Panel()
