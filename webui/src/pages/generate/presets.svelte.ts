/** Settings that are kept under a name on the server, for every browser that opens this page. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { t } from '../../lib/i18n'
import type { Draft } from '../../lib/drafts/draft'
import { applySettings, settingsOf } from '../../lib/settings/request'
import { drafts } from '../../state/drafts.svelte'
import { attempt, notices } from '../../state/notices.svelte'

type Preset = Schemas['UiPresetShown']

class Presets {
  all = $state.raw<Preset[]>([])

  async fetch(): Promise<void> {
    const told = await attempt(() => ask((signal) => api.GET('/ui/presets', { signal })))
    if (told) this.all = told.presets
  }

  has(name: string): boolean {
    return this.all.some((one) => one.name === name.trim())
  }

  async save(name: string, withPrompt: boolean): Promise<boolean> {
    const settings = settingsOf($state.snapshot(drafts.active) as Draft, withPrompt)
    const kept = await this.put(name.trim(), { settings: settings as Record<string, never> })
    if (kept) notices.tell(t.generate.presetSaved(name.trim()))
    return kept
  }

  apply(preset: Preset): void {
    const bringBack = drafts.remember('values')
    drafts.take(applySettings($state.snapshot(drafts.active.values), preset.settings))
    notices.tell(t.generate.presetApplied(preset.name), {
      action: { label: t.common.undo, run: bringBack },
    })
  }

  async remove(preset: Preset): Promise<void> {
    const path = { preset_name: preset.name }
    const gone = await attempt(() =>
      ask((signal) => api.DELETE('/ui/presets/{preset_name}', { params: { path }, signal })),
    )
    if (!gone) return
    void this.fetch()
    const { settings, swarmui, description, starred } = preset
    notices.tell(t.generate.presetDeleted(preset.name), {
      action: {
        label: t.common.undo,
        run: () =>
          void this.put(preset.name, {
            settings: settings as Record<string, never>,
            swarmui: swarmui as Record<string, never>,
            description,
            starred,
          }),
      },
    })
  }

  private async put(name: string, body: Schemas['PresetBody']): Promise<boolean> {
    const kept = await attempt(() =>
      ask((signal) => api.PUT('/ui/presets/{preset_name}', { params: { path: { preset_name: name } }, body, signal })),
    )
    if (kept) await this.fetch()
    return kept !== undefined
  }
}

export const presets = new Presets()
