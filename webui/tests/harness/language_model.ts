/** A language model server for a test: the one of the server's own tests, in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PROGRAM = `
import json, sys, time
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
with OllamaServer() as server:
    server.says = [Said(pieces, [tuple(call) for call in calls]) for pieces, calls in json.loads(sys.argv[1])]
    print(server.url, flush=True)
    sys.stdin.read()
`

/** What it says in one answer: text in pieces, then calls of tools. */
export type Answer = [pieces: string[], calls: [name: string, parameters: object][]]

export interface LanguageModel {
  url: string
  close(): Promise<void>
}

/** Starts one that gives these answers, the last one for ever. It ends with this process at the latest. */
export async function startLanguageModel(answers: Answer[]): Promise<LanguageModel> {
  const python = process.env.SDCPP_REST_PYTHON ?? `${ROOT}.venv/bin/python`
  const child = spawn(python, ['-c', PROGRAM, JSON.stringify(answers)], {
    cwd: ROOT,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [told] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('The language model server ended by itself'))),
  ])) as [Buffer]
  return {
    url: told.toString().trim(),
    async close() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
