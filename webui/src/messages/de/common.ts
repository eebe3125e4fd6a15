import { formatNumber, pickPlural } from '../../lib/format'
import type { Messages } from '../en'

const common: Messages['common'] = {
  close: 'Schließen',
  cancel: 'Abbrechen',
  save: 'Speichern',
  delete: 'Löschen',
  undo: 'Rückgängig',
  again: 'Noch einmal versuchen',
  add: 'Hinzufügen',
  remove: 'Entfernen',
  edit: 'Bearbeiten',
  copied: 'Kopiert',
  search: 'Suchen',
  more: 'Mehr',
  back: 'Zurück',
  done: 'Fertig',
  loading: 'Wird geladen',
  yes: 'Ja',
  no: 'Nein',
  on: 'an',
  off: 'aus',
  recommended: (value) => `empfohlen ${value}`,
  reset: (what) => `${what} zurücksetzen`,
  pictures: (count) => `${formatNumber(count)} ${pickPlural(count, { one: 'Bild', other: 'Bilder' })}`,
  jobs: (count) => `${formatNumber(count)} ${pickPlural(count, { one: 'Auftrag', other: 'Aufträge' })}`,
  about: (time) => `etwa ${time}`,
  left: (time) => `noch ${time}`,
  ofBytes: (used, total) => `${used} von ${total} GB`,
  newWindow: 'öffnet sich in einem neuen Tab',
}
export default common
