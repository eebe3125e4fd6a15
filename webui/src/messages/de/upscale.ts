import { formatNumber, pickPlural } from '../../lib/format'
import type { Messages } from '../en'

const upscale: Messages['upscale'] = {
  title: 'Bilder vergrößern',
  empty: 'Bilder hier ablegen oder einfügen, Dateien wählen, oder eines der neuesten nehmen.',
  choose: 'Dateien wählen',
  latest: 'Neueste Bilder',
  takePicture: (prompt) => `Nehmen: ${prompt}`,
  model: 'Vergrößerer',
  noModel: 'Auf diesem Server gibt es noch keinen Vergrößerer.',
  getModel: 'Einen holen',
  factor: 'Um das Wievielfache',
  factorAuto: (times) => `wie der Vergrößerer (${formatNumber(times)})`,
  tile: 'Kachel, in Pixeln',
  tileHint: 'Kleinere Kacheln brauchen weniger Speicher. Leer: 128.',
  repeats: 'Wie oft',
  tooLarge: (side, limit) => `Das Ergebnis hätte eine Seite von ${side} Pixeln; höchstens ${limit} werden gemacht`,
  start: (count) =>
    count === 0
      ? 'Vergrößern'
      : `${formatNumber(count)} ${pickPlural(count, { one: 'Bild', other: 'Bilder' })} vergrößern`,
  size: (width, height) => `${formatNumber(width)} × ${formatNumber(height)}`,
  becomes: (from, to) => `aus ${from} wird ${to}`,
  remove: (name) => `${name} von der Liste nehmen`,
  compare: 'Vergleichen',
  comparing: 'Vorher und nachher',
  before: 'Vorher',
  after: 'Nachher',
  save: 'Speichern',
  open: 'In der Galerie zeigen',
  again: 'Noch einmal',
  waits: 'wartet',
}
export default upscale
