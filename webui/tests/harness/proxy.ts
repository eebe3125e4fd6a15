/** A proxy that serves a server below a path, which it strips and tells nobody of, as many do. */
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { knownOrigins } from './running'

export interface SubPathProxy {
  /** Where the server is seen from outside, with a slash at its end. */
  url: string
  close(): Promise<void>
}

export async function startSubPathProxy(target: string, prefix: string): Promise<SubPathProxy> {
  const { hostname, port } = new URL(target)
  const strip = (incoming: IncomingMessage): string | null =>
    incoming.url?.startsWith(prefix) ? `/${incoming.url.slice(prefix.length)}` : null
  const sockets = new Set<Socket>()
  const proxy: Server = createServer((incoming, answer) => {
    const path = strip(incoming)
    if (path === null) return void answer.writeHead(404).end('not below the prefix')
    const passed = request({ hostname, port, path, method: incoming.method, headers: incoming.headers }, (told) => {
      answer.writeHead(told.statusCode ?? 502, told.headers)
      told.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    incoming.pipe(passed)
  })
  proxy.on('connection', (socket) => void sockets.add(socket))
  proxy.on('upgrade', (incoming, socket, head) => {
    const path = strip(incoming)
    if (path === null) return socket.destroy()
    const behind = connect(Number(port), hostname, () => {
      const lines = incoming.rawHeaders.flatMap((one, at, all) => (at % 2 ? [] : [`${one}: ${all[at + 1]}`]))
      behind.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      behind.write(head)
      socket.pipe(behind).pipe(socket)
    })
    behind.on('error', () => socket.destroy())
    socket.on('error', () => behind.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  knownOrigins.add(origin)
  return {
    url: origin + prefix,
    async close() {
      for (const socket of sockets) socket.destroy()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}
