/** The pages: their names, signs and keys, and where their code is. Generate is part of the start; each other is loaded when it is first opened. */
import Box from '@lucide/svelte/icons/box'
import Images from '@lucide/svelte/icons/images'
import ListVideo from '@lucide/svelte/icons/list-video'
import MessageSquare from '@lucide/svelte/icons/message-square'
import Scaling from '@lucide/svelte/icons/scaling'
import SlidersHorizontal from '@lucide/svelte/icons/sliders-horizontal'
import WandSparkles from '@lucide/svelte/icons/wand-sparkles'
import type { Component } from 'svelte'
import { loadWithWords, t } from '../lib/i18n'
import GeneratePage from '../pages/generate/GeneratePage.svelte'
import type { PageName } from '../state/router.svelte'

export interface PageEntry {
  name: PageName
  label: () => string
  icon: Component<{ class?: string; 'aria-hidden'?: 'true' }>
  /** The second key after `g`. */
  key: string
  load: () => Promise<{ default: Component }>
}

export const PAGE_ENTRIES: readonly PageEntry[] = [
  {
    name: 'generate',
    label: () => t.shell.generate,
    icon: WandSparkles,
    key: 'g',
    load: () => Promise.resolve({ default: GeneratePage }),
  },
  {
    name: 'queue',
    label: () => t.shell.queue,
    icon: ListVideo,
    key: 'q',
    load: () => loadWithWords(() => import('../pages/queue/QueuePage.svelte')),
  },
  {
    name: 'gallery',
    label: () => t.shell.gallery,
    icon: Images,
    key: 'a',
    load: () => loadWithWords(() => import('../pages/gallery/GalleryPage.svelte')),
  },
  {
    name: 'models',
    label: () => t.shell.models,
    icon: Box,
    key: 'm',
    load: () => loadWithWords(() => import('../pages/models/ModelsPage.svelte')),
  },
  {
    name: 'upscale',
    label: () => t.shell.upscale,
    icon: Scaling,
    key: 'u',
    load: () => loadWithWords(() => import('../pages/upscale/UpscalePage.svelte')),
  },
  {
    name: 'assistant',
    label: () => t.shell.assistant,
    icon: MessageSquare,
    key: 'i',
    load: () => loadWithWords(() => import('../pages/assistant/AssistantPage.svelte')),
  },
  {
    name: 'settings',
    label: () => t.shell.settings,
    icon: SlidersHorizontal,
    key: 's',
    load: () => loadWithWords(() => import('../pages/settings/SettingsPage.svelte')),
  },
]
