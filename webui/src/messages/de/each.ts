import { formatNumber, pickPlural } from '../../lib/format'
import type { Messages } from '../en'

const count = (models: number, cases: { one: string; other: string }): string =>
  `${formatNumber(models)} ${pickPlural(models, cases)}`
const withModels = { one: 'Modell', other: 'Modellen' }
const theModels = { one: 'Modell', other: 'Modelle' }

const each: Messages['each'] = {
  title: 'Mit jedem angekreuzten Modell',
  hint: 'Jedes zeichnet den Entwurf einmal, alle mit demselben Startwert. Was du nicht geändert hast, stellt jedes Modell selbst ein.',
  chosen: (models) => `${count(models, theModels)} angekreuzt.`,
  takes: (duration) => `${duration} mit dem Laden.`,
  unknown: (models) => `${count(models, theModels)} hier noch nie gemessen.`,
  start: (models) => `Mit ${count(models, withModels)} zeichnen`,
  needsFiles: 'Ihm fehlen Dateien, ohne die es nicht zeichnen kann.',
  unknownFamily: 'Es ist nicht bekannt, was für ein Modell das ist.',
  model: 'Modell',
  modelHelp: 'Namen mit Kommas dazwischen. Jeder Wechsel des Modells lädt einmal.',
  chooseModels: 'Modelle auswählen',
  modelChosen: (name) => `${name} wird geladen; es hat dieses Bild gezeichnet.`,
}
export default each
