import { svelte } from '@sveltejs/vite-plugin-svelte'
import { existsSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'

const folder = fileURLToPath(new URL('../sdcpp_rest/webui_dist', import.meta.url))

/** Writes each file of the build once more as .br and .gz, which the server sends as they are. */
function packNeighbours(): Plugin {
  return {
    name: 'pack-neighbours',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const [name, file] of Object.entries(bundle)) {
          const source = Buffer.from(file.type === 'chunk' ? file.code : file.source)
          if (!/\.(js|css|svg|json|webmanifest)$/.test(name) || source.length < 1024) continue
          const br = brotliCompressSync(source, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
          this.emitFile({ type: 'asset', fileName: `${name}.br`, source: br })
          this.emitFile({ type: 'asset', fileName: `${name}.gz`, source: gzipSync(source, { level: 9 }) })
        }
      },
    },
  }
}

// `npm run dev` passes what is not the page's own on to a running server.
const server = process.env.SDCPP_REST_URL ?? 'http://127.0.0.1:8080'

/** Which address `npm run dev` answers itself: every place of the page is the page, and these files are here. */
function findOwn(request: IncomingMessage): string | undefined {
  if (request.headers.accept?.includes('text/html')) return '/index.html'
  const { pathname } = new URL(request.url ?? '/', server)
  const isHere = [`public${pathname}`, pathname.slice(1)].some((path) => existsSync(new URL(path, import.meta.url)))
  return isHere && pathname !== '/' ? request.url : undefined
}

export default defineConfig({
  base: './',
  plugins: [svelte(), packNeighbours()],
  build: {
    outDir: folder,
    emptyOutDir: true,
    target: 'es2022',
    // The policy of the page allows no data: scripts, and small files are cached well.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: 'manifest.json',
    rolldownOptions: {
      output: {
        // One script holds all that the start needs, also what later parts need again: fewer requests, and less in all.
        codeSplitting: { groups: [{ name: 'start', test: /\/src\/main\.ts$/ }] },
      },
    },
  },
  server: {
    proxy: {
      '^/ws(\\?|$)': { target: server, ws: true },
      '^/(?!@|src/|node_modules/)': { target: server, bypass: findOwn },
    },
  },
})
