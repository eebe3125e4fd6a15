import { formatNumber, pickPlural } from '../../lib/format'

const count = (models: number): string =>
  `${formatNumber(models)} ${pickPlural(models, { one: 'model', other: 'models' })}`

export default {
  title: 'With each checked model',
  hint: 'Each draws the draft once, with one seed for all. Settings that you have not changed are each model’s own.',
  chosen: (models: number) => `${count(models)} checked.`,
  takes: (duration: string) => `${duration}, loading included.`,
  unknown: (models: number) => `${count(models)} never timed here.`,
  start: (models: number) => `Draw with ${count(models)}`,
  needsFiles: 'Lacks files that it cannot draw without.',
  unknownFamily: 'It is not known what kind of model this is.',
  model: 'Model',
  modelHelp: 'Names with commas between. Each change of the model is one load.',
  chooseModels: 'Choose models',
  modelChosen: (name: string) => `${name} is being loaded; it has drawn this picture.`,
}
