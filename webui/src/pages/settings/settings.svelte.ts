/** Reads and saves what users choose while the server runs; and lists all of it, for the page and its search. */
import { api, ask, type Schemas } from '../../lib/api/client'
import { LANGUAGES, t } from '../../lib/i18n'
import { keepLook, readLook, type Look } from '../../lib/look'
import { attempt, notices } from '../../state/notices.svelte'
import { server } from '../../state/server.svelte'

export type SectionName = 'look' | 'previews' | 'memory' | 'files' | 'words' | 'notify'

interface RowBase {
  id: string
  section: SectionName
  label: string
  hint?: string
}
export type Row =
  | (RowBase & { kind: 'toggle'; value: boolean; save: (value: boolean) => void })
  | (RowBase & { kind: 'choice'; value: string; choices: Record<string, string>; save: (value: string) => void })
  | (RowBase & { kind: 'number'; value: number; min: number; max: number; save: (value: number) => void })
  | (RowBase & { kind: 'text'; value: string; suggestions?: string[]; save: (value: string) => void })

const MINUTES_OF_DAY = 1440

class Settings {
  unload = $state.raw<Schemas['AutoUnloadShown'] | null>(null)
  bin = $state.raw<Schemas['BinRulesShown'] | null>(null)
  enhancer = $state.raw<Schemas['LlmSettingsShown'] | null>(null)
  assistant = $state.raw<Schemas['AssistantSettingsShown'] | null>(null)
  defaults = $state.raw<Record<string, Record<string, unknown>> | null>(null)
  languageModels = $state.raw<string[]>([])
  look = $state<Look>(readLook())

  async load(): Promise<void> {
    const parts = await Promise.allSettled([
      ask((signal) => api.GET('/settings/auto-unload', { signal })).then((told) => (this.unload = told)),
      ask((signal) => api.GET('/settings/recycle-bin', { signal })).then((told) => (this.bin = told)),
      ask((signal) => api.GET('/ollama/settings', { signal })).then((told) => (this.enhancer = told)),
      ask((signal) => api.GET('/assistant/settings', { signal })).then((told) => (this.assistant = told)),
      ask((signal) => api.GET('/settings/generation', { signal })).then((told) => (this.defaults = told as never)),
    ])
    const failed = parts.find((part) => part.status === 'rejected')
    if (failed) notices.tellError(failed.reason)
    // A language model server that is not there is nothing to complain about here.
    const status = await ask((signal) => api.GET('/ollama/status', { signal })).catch(() => null)
    if (status?.connected)
      this.languageModels = (
        await ask((signal) => api.GET('/ollama/models', { signal })).catch(() => ({ models: [] }))
      ).models
  }

  /** Changes how the page looks, here and wherever the same user opens it next. */
  setLook(changes: Partial<Record<keyof Look, string | undefined>>): void {
    this.look = { ...this.look, ...changes } as Look
    keepLook($state.snapshot(this.look))
    void attempt(() =>
      server.savePreferences(Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, value ?? null]))),
    )
    if ('language' in changes) location.reload()
  }

  private async savePreview(body: Schemas['PreviewBody']): Promise<void> {
    const saved = await attempt(() => ask((signal) => api.PUT('/preview/settings', { body, signal })))
    if (saved) server.previewSettings = saved.settings
  }

  private async saveUnload(which: 'main' | 'upscaler', body: Schemas['IdleRestBody']): Promise<void> {
    const saved = await attempt(() =>
      ask((signal) => api.PUT('/settings/auto-unload', { body: { [which]: body }, signal })),
    )
    if (saved) this.unload = saved
  }

  private async saveBin(body: Schemas['BinRulesBody']): Promise<void> {
    const saved = await attempt(() => ask((signal) => api.PUT('/settings/recycle-bin', { body, signal })))
    if (saved) this.bin = saved
  }

  private async saveEnhancer(body: Schemas['LlmSettingsBody']): Promise<void> {
    const saved = await attempt(() => ask((signal) => api.PUT('/ollama/settings', { body, signal })))
    if (saved && this.enhancer)
      this.enhancer = { ...this.enhancer, ...(saved.settings as Partial<Schemas['LlmSettingsShown']>) }
  }

  private async saveAssistant(body: Schemas['AssistantSettingsBody']): Promise<void> {
    const saved = await attempt(() => ask((signal) => api.PUT('/assistant/settings', { body, signal })))
    if (saved && this.assistant)
      this.assistant = { ...this.assistant, ...(saved.settings as Partial<Schemas['AssistantSettingsShown']>) }
  }

  private savePreference(name: string, value: unknown): void {
    void attempt(() => server.savePreferences({ [name]: value }))
  }

  /** All rows, in their order. What was not read yet is left out. */
  readonly rows = $derived.by((): Row[] => {
    const words = t.settings
    const preview = server.previewSettings
    const rows: (Row | false | null | undefined)[] = [
      {
        id: 'language',
        section: 'look',
        kind: 'choice',
        label: words.language,
        value: this.look.language ?? '',
        choices: { '': words.languageAuto, ...LANGUAGES },
        save: (value) => this.setLook({ language: value || undefined }),
      },
      {
        id: 'theme',
        section: 'look',
        kind: 'choice',
        label: words.theme,
        value: this.look.theme ?? 'system',
        choices: words.themeChoices,
        save: (value) => this.setLook({ theme: value === 'system' ? undefined : value }),
      },
      {
        id: 'density',
        section: 'look',
        kind: 'choice',
        label: words.density,
        value: this.look.density ?? 'normal',
        choices: words.densityChoices,
        save: (value) => this.setLook({ density: value === 'normal' ? undefined : value }),
      },
      {
        id: 'motion',
        section: 'look',
        kind: 'choice',
        label: words.motion,
        value: this.look.motion ?? 'system',
        choices: words.motionChoices,
        save: (value) => this.setLook({ motion: value === 'system' ? undefined : value }),
      },
      preview && {
        id: 'preview',
        section: 'previews',
        kind: 'toggle',
        label: words.previewEnabled,
        value: preview.enabled,
        save: (enabled) => void this.savePreview({ enabled }),
      },
      preview && {
        id: 'preview-mode',
        section: 'previews',
        kind: 'choice',
        label: words.previewMode,
        value: preview.mode,
        choices: words.previewModes,
        save: (mode) => void this.savePreview({ mode: mode as 'proj' }),
      },
      preview && {
        id: 'preview-interval',
        section: 'previews',
        kind: 'number',
        label: words.previewInterval,
        value: preview.interval,
        min: 1,
        max: 100,
        save: (interval) => void this.savePreview({ interval }),
      },
      preview && {
        id: 'preview-size',
        section: 'previews',
        kind: 'number',
        label: words.previewSize,
        value: preview.max_size,
        min: 64,
        max: 1024,
        save: (max_size) => void this.savePreview({ max_size }),
      },
      this.unload && {
        id: 'unload',
        section: 'memory',
        kind: 'toggle',
        label: words.unloadMain,
        value: this.unload.main.enabled,
        save: (enabled) => void this.saveUnload('main', { enabled }),
      },
      this.unload?.main.enabled && {
        id: 'unload-after',
        section: 'memory',
        kind: 'number',
        label: words.unloadMainAfter,
        value: this.unload.main.timeout_minutes,
        min: 1,
        max: 10080,
        save: (timeout_minutes) => void this.saveUnload('main', { timeout_minutes }),
      },
      this.unload && {
        id: 'unload-upscaler',
        section: 'memory',
        kind: 'toggle',
        label: words.unloadUpscaler,
        value: this.unload.upscaler.enabled,
        save: (enabled) => void this.saveUnload('upscaler', { enabled }),
      },
      this.unload?.upscaler.enabled && {
        id: 'unload-upscaler-after',
        section: 'memory',
        kind: 'number',
        label: words.unloadUpscalerAfter,
        value: this.unload.upscaler.timeout_minutes,
        min: 1,
        max: 10080,
        save: (timeout_minutes) => void this.saveUnload('upscaler', { timeout_minutes }),
      },
      this.bin && {
        id: 'bin',
        section: 'files',
        kind: 'toggle',
        label: words.binEnabled,
        value: this.bin.enabled,
        save: (enabled) => void this.saveBin({ enabled }),
      },
      this.bin?.enabled && {
        id: 'bin-days',
        section: 'files',
        kind: 'number',
        label: words.binDays,
        value: this.bin.retention_minutes / MINUTES_OF_DAY,
        min: 1,
        max: 3650,
        save: (days) => void this.saveBin({ retention_minutes: Math.round(days * MINUTES_OF_DAY) }),
      },
      this.enhancer && {
        id: 'enhancer',
        section: 'words',
        kind: 'toggle',
        label: words.enhancerEnabled,
        hint: words.llmHint,
        value: this.enhancer.enabled,
        save: (enabled) => void this.saveEnhancer({ enabled }),
      },
      this.enhancer && {
        id: 'enhancer-url',
        section: 'words',
        kind: 'text',
        label: words.enhancerUrl,
        value: this.enhancer.base_url,
        save: (base_url) => void this.saveEnhancer({ base_url }),
      },
      this.enhancer && {
        id: 'enhancer-model',
        section: 'words',
        kind: 'text',
        label: words.enhancerModel,
        value: this.enhancer.model,
        suggestions: this.languageModels,
        save: (model) => void this.saveEnhancer({ model }),
      },
      this.assistant && {
        id: 'assistant',
        section: 'words',
        kind: 'toggle',
        label: words.assistantEnabled,
        value: this.assistant.enabled,
        save: (enabled) => void this.saveAssistant({ enabled }),
      },
      this.assistant && {
        id: 'assistant-url',
        section: 'words',
        kind: 'text',
        label: words.assistantUrl,
        value: this.assistant.base_url,
        save: (base_url) => void this.saveAssistant({ base_url }),
      },
      this.assistant && {
        id: 'assistant-model',
        section: 'words',
        kind: 'text',
        label: words.assistantModel,
        value: this.assistant.model,
        suggestions: this.languageModels,
        save: (model) => void this.saveAssistant({ model }),
      },
      {
        id: 'assistant-reads',
        section: 'words',
        kind: 'toggle',
        label: words.assistantReads,
        value: server.preferences.assistant_reads === true,
        save: (value) => this.savePreference('assistant_reads', value),
      },
      {
        id: 'notify-sound',
        section: 'notify',
        kind: 'toggle',
        label: words.notifySound,
        value: server.preferences.notify_sound === true,
        save: (value) => this.savePreference('notify_sound', value),
      },
      {
        id: 'notify-system',
        section: 'notify',
        kind: 'toggle',
        label: words.notifySystem,
        value: server.preferences.notify_system === true,
        save: (value) => void this.allowNotifications(value),
      },
    ]
    return rows.filter((row): row is Row => Boolean(row))
  })

  private async allowNotifications(wanted: boolean): Promise<void> {
    if (wanted && (typeof Notification === 'undefined' || (await Notification.requestPermission()) !== 'granted')) {
      notices.tell(t.settings.notifyDenied, { tone: 'bad' })
      this.savePreference('notify_system', false)
    } else this.savePreference('notify_system', wanted)
  }

  /** Keeps what of a draft is meant for later requests of its kind, too. */
  async takeDefaults(kind: 'txt2img' | 'img2img' | 'txt2vid', values: Record<string, unknown>): Promise<number> {
    const { prompt: _prompt, seed: _seed, ...kept } = values
    const saved = await ask((signal) =>
      api.PUT('/settings/generation/{mode}', { params: { path: { mode: kind } }, body: kept as never, signal }),
    )
    this.defaults = { ...this.defaults, [kind]: saved.preferences as Record<string, unknown> }
    return Object.keys(saved.preferences as object).length
  }

  async forgetDefaults(): Promise<void> {
    await ask((signal) => api.POST('/settings/reset', { body: { section: 'generation' }, signal }))
    this.defaults = (await ask((signal) => api.GET('/settings/generation', { signal }))) as never
  }

  /** Makes one object of all that can be carried to another server. */
  async exportAll(): Promise<Record<string, unknown>> {
    const presets = await ask((signal) => api.GET('/ui/presets', { signal }))
    return {
      sdcpp_rest_settings: 1,
      preferences: $state.snapshot(server.preferences),
      generation: this.defaults,
      preview: $state.snapshot(server.previewSettings),
      presets,
    }
  }

  /** Takes what `exportAll` made. Throws for anything else. */
  async importAll(text: string): Promise<void> {
    const told = JSON.parse(text) as Record<string, unknown>
    if (told.sdcpp_rest_settings !== 1) throw new Error(t.settings.notOurs)
    if (told.preferences) await server.savePreferences(told.preferences as Record<string, unknown>)
    if (told.generation)
      await ask((signal) => api.PUT('/settings/generation', { body: told.generation as never, signal }))
    if (told.preview) await this.savePreview(told.preview as Schemas['PreviewBody'])
    const presets = (told.presets as Schemas['UiPresetsShown'] | undefined)?.presets
    for (const { name, ...body } of presets ?? [])
      await ask((signal) =>
        api.PUT('/ui/presets/{preset_name}', { params: { path: { preset_name: name } }, body: body as never, signal }),
      )
    await this.load()
  }
}

export const settings = new Settings()
