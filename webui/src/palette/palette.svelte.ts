/** Gathers all that can be done by its name: pages, actions with keys, models, presets, drafts, settings. */
import { shortcuts } from '../lib/keys'
import { nameOf } from '../lib/drafts/draft'
import { t } from '../lib/i18n'
import { form } from '../pages/generate/form.svelte'
import { models } from '../pages/generate/models.svelte'
import { panel } from '../pages/generate/panel.svelte'
import { presets } from '../pages/generate/presets.svelte'
import { drafts } from '../state/drafts.svelte'
import { router } from '../state/router.svelte'
import { server } from '../state/server.svelte'

export interface PaletteItem {
  id: string
  label: string
  /** What kind of thing it is. */
  kind: string
  keys: string
  run: () => void
}

/** Lists everything, the pages first. */
export function listItems(): PaletteItem[] {
  const words = t.shell.palette
  const actions = shortcuts.list().map((one): PaletteItem => ({
    id: `key:${one.keys}`,
    label: one.label(),
    kind: one.keys.startsWith('g ') ? words.page : words.action,
    keys: one.keys,
    run: () => one.run(new KeyboardEvent('keydown')),
  }))
  const files = [...(server.models?.diffusion_models ?? []), ...(server.models?.checkpoints ?? [])]
  return [
    ...actions.sort((a, b) => Number(b.kind === words.page) - Number(a.kind === words.page)),
    ...files.map((name): PaletteItem => {
      const type = server.models?.checkpoints.includes(name) ? 'checkpoint' : 'diffusion'
      return {
        id: `model:${name}`,
        label: name,
        kind: words.model,
        keys: '',
        run: () => void models.choose({ name, type }),
      }
    }),
    ...presets.all.map((preset): PaletteItem => ({
      id: `preset:${preset.name}`,
      label: preset.name,
      kind: words.preset,
      keys: '',
      run: () => presets.apply(preset),
    })),
    ...drafts.all
      .filter((draft) => draft.id !== drafts.activeId)
      .map((draft): PaletteItem => ({
        id: `draft:${draft.id}`,
        label: nameOf(draft, t.shell.generate),
        kind: words.draft,
        keys: '',
        run: () => {
          drafts.show(draft.id)
          router.goTo('generate')
        },
      })),
    ...form.fields.map((field): PaletteItem => ({
      id: `field:${field.name}`,
      label: field.label,
      kind: words.setting,
      keys: '',
      run: () => {
        router.goTo('generate')
        whenShown(`[data-field="${CSS.escape(field.name)}"], .column`, () => void panel.reveal(field.name))
      },
    })),
  ]
}

const MOST_FRAMES = 120

/** Runs something once what it is about is on the page, and the palette's own focus has gone back. */
function whenShown(selector: string, run: () => void, frames = 0): void {
  if (frames > 1 && document.querySelector(selector)) run()
  else if (frames < MOST_FRAMES) requestAnimationFrame(() => whenShown(selector, run, frames + 1))
}
