/** What the menu of a tile offers that stands for several pictures: each line says that it means all of them. */
import Download from '@lucide/svelte/icons/download'
import Layers from '@lucide/svelte/icons/layers'
import Star from '@lucide/svelte/icons/star'
import Trash2 from '@lucide/svelte/icons/trash-2'
import type { Picture } from '../../lib/events/apply'
import { listIds } from '../../lib/gallery/rows'
import { t } from '../../lib/i18n'
import type { MenuItem } from '../../ui/Menu.svelte'
import { chooseRow, remove, saveZip, star } from './deeds.svelte'

export function listGroupActions(row: Picture, unfold: () => void): MenuItem[] {
  const chosen = chooseRow(row)
  const count = listIds(row).length
  return [
    { label: t.gallery.unfold(count), icon: Layers, run: unfold },
    {
      label: row.starred ? t.gallery.unstarAll(count) : t.gallery.starAll(count),
      icon: Star,
      run: () => void star(chosen, !row.starred),
    },
    { label: t.gallery.zipAll(count), icon: Download, run: () => void saveZip(chosen) },
    { label: t.gallery.deleteAll(count), icon: Trash2, isDangerous: true, run: () => void remove(chosen) },
  ]
}
