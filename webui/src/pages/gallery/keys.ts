/** The keys of the gallery. None is at work while a picture or a dialog is open over it: those have their own. */
import { t } from '../../lib/i18n'
import { shortcuts } from '../../lib/keys'
import { gallery } from './gallery.svelte'

export interface KeysHost {
  isOpen: () => boolean
  hasChosen: () => boolean
  /** Whether there is a picture that a key would mean: chosen ones, or the one with the focus. */
  hasMeant: () => boolean
  search: () => void
  star: () => void
  remove: () => void
  clear: () => void
  isInGroup: () => boolean
  leaveGroup: () => void
}

/** Adds the keys; returns what removes them. */
export function addGalleryKeys(host: KeysHost): () => void {
  const isFree = (): boolean => !host.isOpen() && !document.querySelector('dialog[open]')
  const hasMeant = (): boolean => isFree() && host.hasMeant()
  return shortcuts.add(
    { keys: '/', label: () => t.gallery.searchLabel, when: isFree, run: host.search },
    {
      keys: 'Ctrl+a',
      label: () => t.gallery.selectAllKey,
      when: () => isFree() && !isTyping(),
      run: () => gallery.selectAll(),
    },
    { keys: 's', label: () => t.gallery.starKey, when: hasMeant, run: host.star },
    { keys: 'Delete', label: () => t.gallery.deleteKey, when: hasMeant, run: host.remove },
    { keys: 'Escape', label: () => t.gallery.chooseNone, when: () => isFree() && host.hasChosen(), run: host.clear },
    {
      keys: 'Escape',
      label: () => t.gallery.leaveGroup,
      when: () => isFree() && !host.hasChosen() && host.isInGroup(),
      run: host.leaveGroup,
    },
  )
}

/** Ctrl+A in a field means its text. */
function isTyping(): boolean {
  const focused = document.activeElement
  return focused instanceof HTMLInputElement && focused.type !== 'checkbox'
}
