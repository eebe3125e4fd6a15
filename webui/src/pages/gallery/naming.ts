/** Says in words what a picture shows: its prompt, or the name of its file. */
import type { Picture } from '../../lib/events/apply'
import { t } from '../../lib/i18n'

export function nameOf(picture: Pick<Picture, 'prompt' | 'path' | 'kind'>): string {
  const words = picture.prompt || picture.path.split('/').at(-1)!
  return picture.kind === 'video' ? t.gallery.videoOf(words) : words
}
