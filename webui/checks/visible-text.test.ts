/** No component holds words of its own: all that is seen or heard is a message, so that every language has it. */
import { readdirSync, readFileSync } from 'node:fs'
import { parse, type AST } from 'svelte/compiler'
import { expect, it } from 'vitest'

const SOURCES = new URL('../src/', import.meta.url)
/** Attributes that are seen or heard; the last ones are those of our own components. */
const SPOKEN = new Set([
  ...['aria-label', 'aria-description', 'aria-roledescription', 'aria-valuetext', 'title', 'placeholder', 'alt'],
  ...['label', 'text', 'hint', 'description', 'before', 'after'],
])
/** Names and units that no language changes. */
const NAMES = /sdcpp-rest|\b(?:px|[kMG]B)\b|\b(?:Ctrl|Enter|Shift|Esc|Tab|Alt)\b/g

/** Words in a piece of text: two letters or more. */
function wordsIn(text: string): string[] {
  const words = text.replace(/&\w+;/g, ' ').replace(NAMES, ' ').trim()
  return /\p{L}{2,}/u.test(words) ? [words.replace(/\s+/g, ' ')] : []
}

/** Texts that an expression may come to, as far as they stand in it. */
function textsOf(expression: { type: string } & Record<string, unknown>): string[] {
  type Node = typeof expression
  switch (expression.type) {
    case 'Literal':
      return typeof expression.value === 'string' ? wordsIn(expression.value) : []
    case 'TemplateLiteral':
      return (expression.quasis as { value: { raw: string } }[]).flatMap((one) => wordsIn(one.value.raw))
    case 'ConditionalExpression':
      return [...textsOf(expression.consequent as Node), ...textsOf(expression.alternate as Node)]
    case 'LogicalExpression':
    case 'BinaryExpression':
      return [...textsOf(expression.left as Node), ...textsOf(expression.right as Node)]
    default:
      return []
  }
}

function findTexts(source: string): string[] {
  const found: string[] = []
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (typeof node !== 'object' || node === null) return
    const { type } = node as { type?: string }
    // `style:width={…}`, `class:on={…}`: nobody reads these.
    if (type?.endsWith('Directive')) return
    if (type === 'Attribute') {
      const { name, value } = node as AST.Attribute
      if (SPOKEN.has(name) && value !== true)
        for (const part of Array.isArray(value) ? value : [value])
          found.push(...(part.type === 'Text' ? wordsIn(part.data) : textsOf(part.expression as never)))
      return
    }
    if (type === 'Text') return void found.push(...wordsIn((node as AST.Text).data))
    if (type === 'ExpressionTag') return void found.push(...textsOf((node as AST.ExpressionTag).expression as never))
    for (const [key, value] of Object.entries(node)) if (key !== 'metadata' && key !== 'parent') visit(value)
  }
  visit(parse(source, { modern: true }).fragment)
  return found
}

it('finds words between tags, in attributes that are spoken, and in expressions', () => {
  const source = `
    <script lang="ts">const word = 'not seen'</script>
    <h1 class="page-title">Queue</h1><p>{ready ? 'Ready' : t.wait} {count} × {\`\${count} jobs\`}</p>
    <img alt="A picture" src="x.png" /><button type="button" aria-label={off ? 'Switch on' : t.off}><kbd>Ctrl</kbd></button>
    <Field id="prompt" label="Steps" hint={'at ' + most} />
    {#if a}<b style:width={\`\${wide}em of it\`}>{t.done}</b>{:else}Waiting{/if}<title>{t.x} - sdcpp-rest</title>`
  expect(findTexts(source)).toEqual(['Queue', 'Ready', 'jobs', 'A picture', 'Switch on', 'Steps', 'at', 'Waiting'])
})

it('finds none in the components', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.svelte'))
  expect(files.length).toBeGreaterThan(15)
  const found = files.flatMap((name) =>
    findTexts(readFileSync(new URL(name, SOURCES), 'utf8')).map((text) => `${name}: ${text}`),
  )
  expect(found).toEqual([])
})
