/** Reads server-sent events out of a stream of text. */

export interface StreamEvent {
  name: string
  data: unknown
}

/** Takes pieces of text as they come and returns the events that are whole by then. */
export class EventReader {
  private rest = ''

  read(piece: string): StreamEvent[] {
    this.rest += piece.replaceAll('\r\n', '\n')
    const blocks = this.rest.split('\n\n')
    this.rest = blocks.pop() ?? ''
    return blocks.map(readBlock).filter((one) => one !== null)
  }
}

function readBlock(block: string): StreamEvent | null {
  let name = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim()
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart())
  }
  if (data.length === 0) return null
  try {
    return { name, data: JSON.parse(data.join('\n')) as unknown }
  } catch {
    return null
  }
}
