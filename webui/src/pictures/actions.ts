/** What can be done with a picture: one list, for the bar below it, its menu and the page that shows it large. */
import Brush from '@lucide/svelte/icons/brush'
import Clapperboard from '@lucide/svelte/icons/clapperboard'
import Code from '@lucide/svelte/icons/code'
import Columns2 from '@lucide/svelte/icons/columns-2'
import Copy from '@lucide/svelte/icons/copy'
import Download from '@lucide/svelte/icons/download'
import FileText from '@lucide/svelte/icons/file-text'
import ImageUp from '@lucide/svelte/icons/image-up'
import MapPin from '@lucide/svelte/icons/map-pin'
import RefreshCw from '@lucide/svelte/icons/refresh-cw'
import Ruler from '@lucide/svelte/icons/ruler'
import Scaling from '@lucide/svelte/icons/scaling'
import Shuffle from '@lucide/svelte/icons/shuffle'
import Sprout from '@lucide/svelte/icons/sprout'
import Star from '@lucide/svelte/icons/star'
import TextIcon from '@lucide/svelte/icons/text'
import Trash2 from '@lucide/svelte/icons/trash-2'
import WandSparkles from '@lucide/svelte/icons/wand-sparkles'
import type { Component } from 'svelte'
import { apiUrl, outputUrl } from '../lib/address'
import { FIELD_OF_INPUT, isList, sourcesOf, type PictureSource, type Values } from '../lib/drafts/draft'
import type { Picture } from '../lib/events/apply'
import { t } from '../lib/i18n'
import { pickPart, type Part } from '../lib/jobs/settings'
import { writeCurl, writeParameters } from '../lib/jobs/texts'
import { desk, MOST_COMPARED } from '../state/desk.svelte'
import { drafts } from '../state/drafts.svelte'
import { attempt, notices } from '../state/notices.svelte'
import { linkTo, router } from '../state/router.svelte'
import { server } from '../state/server.svelte'
import { canCopyPictures, copyAndTell, copyPicture } from './clipboard'
import { askToDelete } from './deleting'
import { shelf, type FoundSettings } from './shelf.svelte'

export interface PictureAction {
  id: string
  label: string
  icon: Component<{ class?: string; 'aria-hidden'?: 'true' }>
  /** As `shortcuts.add` takes them. */
  keys?: string
  /** Those of one group share a button in the bar. */
  group?: 'reuse' | 'vary'
  isDangerous?: boolean
  /** Whether it is switched on (a star). */
  isOn?: boolean
  /** Why it cannot be done now; empty: it can. */
  disabled: string
  run: () => void
}

const SUBTLE = 0.35
const STRONG = 0.65

/** Lists what can be done with a picture, in the order of the bar. */
export function pictureActions(picture: Picture): PictureAction[] {
  const words = t.pictures
  const preset = server.preset
  const isVideo = picture.kind === 'video'
  const stillOnly = isVideo ? words.noVideo : ''
  const draws = !preset ? words.noModel : preset.makes_images ? '' : words.needsPictureModel
  return [
    {
      id: 'star',
      label: picture.starred ? words.unstar : words.star,
      icon: Star,
      keys: 's',
      isOn: picture.starred,
      disabled: '',
      run: () => void attempt(() => shelf.star(picture, !picture.starred)),
    },
    { id: 'reuse', label: words.reuseAll, icon: RefreshCw, keys: 'r', group: 'reuse', ...reuse(picture, 'all') },
    { id: 'reuse-prompt', label: words.reusePrompt, icon: TextIcon, group: 'reuse', ...reuse(picture, 'prompt') },
    {
      id: 'reuse-seed',
      label: words.reuseSeed,
      icon: Sprout,
      keys: 'Shift+r',
      group: 'reuse',
      ...reuse(picture, 'seed'),
      disabled: picture.seed === undefined ? words.noSeed : '',
    },
    {
      id: 'reuse-size',
      label: words.reuseSize,
      icon: Ruler,
      group: 'reuse',
      ...reuse(picture, 'size'),
      disabled: picture.width ? '' : words.noSize,
    },
    {
      id: 'inpaint',
      label: words.inpaint,
      icon: Brush,
      keys: 'i',
      disabled: stillOnly || draws,
      run: () => inpaint(picture),
    },
    {
      id: 'vary-subtle',
      label: words.varySubtle,
      icon: WandSparkles,
      group: 'vary',
      disabled: stillOnly || draws,
      run: () => void attempt(() => vary(picture, SUBTLE)),
    },
    {
      id: 'vary-strong',
      label: words.varyStrong,
      icon: Shuffle,
      group: 'vary',
      disabled: stillOnly || draws,
      run: () => void attempt(() => vary(picture, STRONG)),
    },
    {
      id: 'upscale',
      label: words.upscale,
      icon: Scaling,
      keys: 'u',
      disabled: stillOnly,
      run: () => {
        desk.upscaleSource = sourceOf(picture)
        router.goTo('upscale')
      },
    },
    {
      id: 'compare',
      label: words.compare,
      icon: Columns2,
      keys: 'c',
      isOn: desk.compared.some((one) => one.id === picture.id),
      disabled: stillOnly,
      run: () => compare(picture),
    },
    { id: 'save', label: words.save, icon: Download, disabled: '', run: () => save(picture) },
    {
      id: 'reference',
      label: words.asReference,
      icon: ImageUp,
      disabled: stillOnly || (preset?.takes_reference_images ? '' : preset ? words.noReferences : words.noModel),
      run: () => useAsReference(picture),
    },
    {
      id: 'video',
      label: words.makeVideo,
      icon: Clapperboard,
      disabled: stillOnly || (preset?.makes_video ? '' : words.needsVideoModel),
      run: () => startFrom(picture, 'video'),
    },
    {
      id: 'copy-picture',
      label: words.copyPicture,
      icon: Copy,
      disabled: stillOnly || (canCopyPictures() ? '' : words.noClipboard),
      run: () =>
        void attempt(async () => {
          await copyPicture(() => shelf.read(picture))
          notices.tell(t.common.copied)
        }),
    },
    {
      id: 'copy-parameters',
      label: words.copyParameters,
      icon: FileText,
      disabled: '',
      run: () =>
        void withSettings(picture, ({ params, values }) =>
          copyAndTell(
            writeParameters(params, {
              model: picture.model,
              seed: picture.seed ?? (values.seed as number | undefined),
            }),
          ),
        ),
    },
    {
      id: 'copy-call',
      label: words.copyCall,
      icon: Code,
      disabled: '',
      run: () =>
        void withSettings(picture, ({ kind, values, inputs }) =>
          copyAndTell(writeCurl(apiUrl(kind), { ...values, ...namedInputs(inputs) })),
        ),
    },
    {
      id: 'locate',
      label: words.locate,
      icon: MapPin,
      disabled: '',
      run: () => router.goTo(linkTo('gallery', '', { at: String(picture.id) })),
    },
    {
      id: 'delete',
      label: words.remove,
      icon: Trash2,
      keys: 'Delete',
      isDangerous: true,
      disabled: '',
      run: () => void attempt(() => remove(picture)),
    },
  ]
}

/** Keys as they are written beside an action. */
export function showKeys(keys: string | undefined): string {
  return (keys ?? '')
    .replace('Delete', 'Del')
    .replace(/(^|\+)([a-z])$/, (_, plus: string, key: string) => plus + key.toUpperCase())
}

function sourceOf(picture: Picture): PictureSource {
  const { path, version, width, height } = picture
  return { from: 'output', path, version, width, height }
}

async function withSettings(picture: Picture, use: (found: FoundSettings) => Promise<void> | void): Promise<void> {
  await attempt(async () => {
    const found = await shelf.findSettings(picture)
    if (found) await use(found)
    else notices.tell(t.pictures.noSettings)
  })
}

function reuse(picture: Picture, part: Part): Pick<PictureAction, 'disabled' | 'run'> {
  const told = {
    all: t.pictures.taken,
    prompt: t.pictures.tookPrompt,
    seed: t.pictures.tookSeed,
    size: t.pictures.tookSize,
  }
  const take = (values: Values): void => {
    drafts.take(values, { merge: true })
    if (part === 'seed') drafts.change((draft) => (draft.keepsSeed = true))
    router.goTo('generate')
    notices.tell(told[part])
  }
  // What the list of pictures tells needs no asking, and works for jobs of every kind.
  if (part === 'seed') return { disabled: '', run: () => take({ seed: picture.seed }) }
  if (part === 'size') return { disabled: '', run: () => take({ width: picture.width, height: picture.height }) }
  return {
    disabled: '',
    run: () =>
      void withSettings(picture, (found) => {
        if (part !== 'all') return take(pickPart(found.values, part))
        drafts.change((draft) => {
          draft.mode = found.mode
          draft.values = found.values
          draft.inputs = found.inputs
          draft.keepsSeed = true
        })
        take({})
      }),
  }
}

/** Begins a draft of a picture, in its size; what was written stays. */
function startFrom(picture: Picture, mode: 'inpaint' | 'video'): void {
  drafts.change((draft) => {
    draft.mode = mode
    draft.inputs.init = sourceOf(picture)
    delete draft.inputs.mask
    if (picture.width && picture.height) Object.assign(draft.values, { width: picture.width, height: picture.height })
    if (!draft.values.prompt) draft.values.prompt = picture.prompt
  })
  router.goTo('generate')
}

function inpaint(picture: Picture): void {
  startFrom(picture, 'inpaint')
  desk.editsMask = true
}

async function vary(picture: Picture, strength: number): Promise<void> {
  const found = await shelf.findSettings(picture)
  const values: Values = { ...(found?.values ?? { prompt: picture.prompt }) }
  delete values.batch_count
  const size = picture.width && picture.height ? { width: picture.width, height: picture.height } : {}
  await drafts.send('img2img', {
    ...values,
    ...size,
    init_image_base64: { output: picture.path },
    strength,
    seed: -1,
  })
  // What was asked for is to be seen when it comes.
  desk.chosen = null
  notices.tell(t.pictures.varying)
}

function useAsReference(picture: Picture): void {
  drafts.change((draft) => {
    draft.mode = 'edit'
    draft.inputs.references = [...draft.inputs.references, sourceOf(picture)]
  })
  router.goTo('generate')
  notices.tell(t.pictures.referenceAdded)
}

function compare(picture: Picture): void {
  if (desk.compared.some((one) => one.id === picture.id)) notices.tell(t.pictures.compareThere)
  else if (desk.compared.length >= MOST_COMPARED) notices.tell(t.pictures.compareFull)
  else {
    desk.compared = [...desk.compared, picture]
    if (desk.compared.length === 1) notices.tell(t.pictures.compareNext)
  }
}

function save(picture: Picture): void {
  const link = document.createElement('a')
  link.href = outputUrl(picture.path, picture.version)
  link.download = picture.path.split('/').at(-1) ?? ''
  link.click()
}

async function remove(picture: Picture): Promise<void> {
  const hasBin = await askToDelete(t.pictures.askDelete)
  if (hasBin === null) return
  await shelf.remove(picture)
  const undo = (): void =>
    void attempt(async () => {
      await shelf.restore(picture)
      notices.tell(t.pictures.restored)
    })
  notices.tell(hasBin ? t.pictures.deleted : t.pictures.deletedForGood, {
    action: hasBin ? { label: t.common.undo, run: undo } : undefined,
  })
}

/** Pictures of a job as a call names them: by where the server has them. */
function namedInputs(inputs: FoundSettings['inputs']): Values {
  const name = (source: PictureSource): unknown =>
    source.from === 'input'
      ? { input: `${source.jobId}/${source.role}` }
      : source.from === 'output'
        ? { output: source.path }
        : null
  const body: Values = {}
  for (const role of Object.keys(FIELD_OF_INPUT) as (keyof typeof FIELD_OF_INPUT)[]) {
    const named = sourcesOf(inputs, role).map(name)
    if (named.length > 0) body[FIELD_OF_INPUT[role]] = isList(role) ? named : named[0]
  }
  return body
}
