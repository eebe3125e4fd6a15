/** Computes which tiles of a long list are shown, and where. The list is a grid of equal squares: the n-th picture has its place by n alone. */

export interface GridShape {
  columns: number
  /** Side of a tile in pixels. */
  tile: number
  /** From the top of one row to that of the next. */
  rowHeight: number
}

export interface Span {
  first: number
  /** One behind the last. */
  end: number
}

export interface Window extends Span {
  /** Height of the list in the page. */
  height: number
  /** What is added to the place of a row to find it in the page. */
  shift: number
}

export const GAP = 6
export const MOST_TILES = 400
/** Browsers cut elements off that are higher (Firefox at 17.9 million pixels). */
export const MOST_HEIGHT = 12_000_000

/** Fits as many columns as tiles of at least `wanted` pixels fit, and makes the tiles as wide as that leaves room for. */
export function shapeGrid(width: number, wanted: number, gap = GAP): GridShape {
  const columns = Math.max(1, Math.floor((width + gap) / (wanted + gap)))
  const tile = Math.max(1, (width - gap * (columns - 1)) / columns)
  return { columns, tile, rowHeight: tile + gap }
}

function countRows(total: number, columns: number): number {
  return Math.ceil(total / columns)
}

/** How high the list would be if nothing limited it. */
function trueHeight(total: number, shape: GridShape): number {
  return countRows(total, shape.columns) * shape.rowHeight
}

/** Translates a place of the scrollbar into one of the list: the same, unless the list is higher than elements may be. */
export function scrolledTo(total: number, shape: GridShape, scrollTop: number, viewHeight: number): number {
  const height = trueHeight(total, shape)
  if (height <= MOST_HEIGHT) return scrollTop
  const share = Math.min(1, scrollTop / Math.max(1, MOST_HEIGHT - viewHeight))
  return share * (height - viewHeight)
}

/** Which pictures are in the DOM: those in view, and as many rows around them as the limit of tiles leaves room for. */
export function placeWindow(total: number, shape: GridShape, scrollTop: number, viewHeight: number, spare = 3): Window {
  const { columns, rowHeight } = shape
  const rows = countRows(total, columns)
  const top = scrolledTo(total, shape, Math.max(0, scrollTop), viewHeight)
  const seen = Math.min(rows, Math.ceil(viewHeight / rowHeight) + 1)
  const around = Math.max(0, Math.min(spare, Math.floor((Math.floor(MOST_TILES / columns) - seen) / 2)))
  const firstSeen = Math.min(Math.max(0, rows - seen), Math.floor(top / rowHeight))
  const firstRow = Math.max(0, firstSeen - around)
  const endRow = Math.min(rows, firstSeen + seen + around, firstRow + Math.max(1, Math.floor(MOST_TILES / columns)))
  return {
    first: firstRow * columns,
    end: Math.min(total, endRow * columns),
    height: Math.min(MOST_HEIGHT, Math.max(0, trueHeight(total, shape) - (rows > 0 ? GAP : 0))),
    shift: scrollTop - top,
  }
}

/** Where a picture is in the list, by its index. */
export function placeTile(index: number, shape: GridShape): { x: number; y: number } {
  const row = Math.floor(index / shape.columns)
  return { x: (index - row * shape.columns) * shape.rowHeight, y: row * shape.rowHeight }
}

/** Where to scroll to, so that a picture is in view: as little as possible, or to the middle where it is far away. */
export function scrollFor(
  index: number,
  total: number,
  shape: GridShape,
  scrollTop: number,
  viewHeight: number,
  at: 'near' | 'top' = 'near',
): number {
  const height = trueHeight(total, shape)
  const top = scrolledTo(total, shape, scrollTop, viewHeight)
  const y = placeTile(index, shape).y
  let wanted = top
  if (at === 'top') wanted = y
  else if (y < top || y + shape.tile > top + viewHeight) {
    const isClose = Math.abs(y - top) < viewHeight * 2
    if (!isClose) wanted = y - (viewHeight - shape.tile) / 2
    else wanted = y < top ? y : y + shape.tile - viewHeight
  }
  wanted = Math.max(0, Math.min(wanted, height - viewHeight))
  if (height <= MOST_HEIGHT) return wanted
  return (wanted / (height - viewHeight)) * (MOST_HEIGHT - viewHeight)
}

export interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

/** Which pictures a drawn rectangle touches (in pixels of the list). */
export function indexesIn(box: Box, total: number, shape: GridShape): number[] {
  const { columns, tile, rowHeight } = shape
  // A tile ends before the gap does.
  const firstOf = (from: number): number => Math.max(0, Math.floor((from - tile) / rowHeight) + 1)
  const endRow = Math.min(countRows(total, columns), Math.floor(Math.max(0, box.bottom) / rowHeight) + 1)
  const endColumn = Math.min(columns, Math.floor(box.right / rowHeight) + 1)
  const found: number[] = []
  for (let row = firstOf(box.top); row < endRow; row++)
    for (let column = firstOf(box.left); column < endColumn; column++) {
      const index = row * columns + column
      if (index < total) found.push(index)
    }
  return found
}

/** Where an arrow leads from a picture; null: the key means nothing here. */
export function walk(key: string, index: number, total: number, columns: number, page: number): number | null {
  const last = total - 1
  const steps: Record<string, number> = {
    ArrowLeft: index - 1,
    ArrowRight: index + 1,
    ArrowUp: index - columns < 0 ? index : index - columns,
    ArrowDown:
      index + columns > last
        ? Math.floor(index / columns) < Math.floor(last / columns)
          ? last
          : index
        : index + columns,
    PageUp: index - columns * page < 0 ? index % columns : index - columns * page,
    PageDown: Math.min(last, index + columns * page),
    Home: 0,
    End: last,
  }
  const to = steps[key]
  return to === undefined || total === 0 ? null : Math.max(0, Math.min(last, to))
}

/** Chooses the thumbnail that is sharp at this size of tiles on this screen. */
export function chooseThumb(tile: number, density: number): 256 | 512 {
  return tile * density > 300 ? 512 : 256
}
