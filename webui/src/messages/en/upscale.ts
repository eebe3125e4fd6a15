import { formatNumber, pickPlural } from '../../lib/format'

export default {
  title: 'Make pictures larger',
  empty: 'Drop or paste pictures here, choose files, or take one of the latest.',
  choose: 'Choose files',
  latest: 'Latest pictures',
  takePicture: (prompt: string) => `Take: ${prompt}`,
  model: 'Upscaler',
  noModel: 'There is no upscaler on this server yet.',
  getModel: 'Get one',
  factor: 'Times larger',
  factorAuto: (times: number) => `as the upscaler does (${formatNumber(times)})`,
  tile: 'Tile, in pixels',
  tileHint: 'Smaller tiles need less memory. Empty: 128.',
  repeats: 'How often',
  tooLarge: (side: string, limit: string) =>
    `The result would have a side of ${side} pixels; at most ${limit} are made`,
  start: (count: number) =>
    count === 0
      ? 'Make larger'
      : `Make ${formatNumber(count)} ${pickPlural(count, { one: 'picture', other: 'pictures' })} larger`,
  size: (width: number, height: number) => `${formatNumber(width)} × ${formatNumber(height)}`,
  becomes: (from: string, to: string) => `${from} becomes ${to}`,
  remove: (name: string) => `Take ${name} off the list`,
  compare: 'Compare',
  comparing: 'Before and after',
  before: 'Before',
  after: 'After',
  save: 'Save',
  open: 'Show in the gallery',
  again: 'Once more',
  waits: 'waits',
}
