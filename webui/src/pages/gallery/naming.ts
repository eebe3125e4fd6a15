/** Says in words what a tile shows: the prompt of its picture, or the name of the file, and how many belong together. */
import type { Picture } from '../../lib/events/apply'
import { isGroup, listIds } from '../../lib/gallery/rows'
import { t } from '../../lib/i18n'

export function nameOf(picture: Pick<Picture, 'id' | 'prompt' | 'path' | 'kind' | 'group'>): string {
  const words = picture.prompt || picture.path.split('/').at(-1)!
  if (isGroup(picture)) return t.gallery.groupOf(listIds(picture).length, words)
  return picture.kind === 'video' ? t.gallery.videoOf(words) : words
}
