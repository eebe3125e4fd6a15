/** The prompt: coloured, completed, weighed, undone, counted; earlier ones, better ones, pasted ones; styles. */
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Locator, Page } from '@playwright/test'
import { axe, expect, expectEveryLook, expectNoOverflow, forEachLook, shoot, test } from './server'

/** A model file without any tensors: enough to be listed by its name. */
function makeEmptyModel(metadata: Record<string, string> = {}): Buffer {
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt', ...metadata } }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header])
}

test.use({
  modelFiles: {
    'loras/film_grain.safetensors': makeEmptyModel(),
    'loras/film_grain.json': Buffer.from('{"activation text": "film grain, 35mm", "preferred weight": 0.6}'),
    'loras/styles/ink_wash.safetensors': makeEmptyModel(),
    'embeddings/easynegative.safetensors': makeEmptyModel(),
    'wildcards/weather.txt': Buffer.from('sunny\nrain\nfog\n'),
  },
})

const promptOf = (page: Page): Locator => page.getByRole('textbox', { name: 'Prompt', exact: true })
const list = (page: Page): Locator => page.getByRole('listbox', { name: 'Suggestions' })
const option = (page: Page, name: string | RegExp): Locator => page.getByRole('option', { name })

/** Presses keys one after another (`A B`), and expects what stands in the prompt after each row of them. */
async function expectPrompts(page: Page, rows: [keys: string, prompt: string][]): Promise<void> {
  for (const [keys, prompt] of rows) {
    for (const key of keys.split(' ')) await page.keyboard.press(key)
    await expect(promptOf(page)).toHaveValue(prompt)
  }
}

test.beforeEach(async ({ page, server }) => {
  await server.untilModel()
  await page.goto(server.page())
  await promptOf(page).click()
})

test('a sign opens completion, Tab and Enter take, Esc closes it alone', async ({ page }) => {
  const box = promptOf(page)
  await page.keyboard.type('a harbour <fil')
  await expect(option(page, /film_grain/)).toHaveAttribute('aria-selected', 'true')
  await expect(option(page, /film_grain/)).toContainText('film grain, 35mm')
  await expect(page.getByRole('status').filter({ hasText: /suggestion/ })).toHaveText(/^\d suggestions?$/)
  await page.keyboard.press('Tab')
  await expect(box).toHaveValue('a harbour <lora:film_grain:0.6>')
  await expect(box).toBeFocused()
  await page.keyboard.type(', __we')
  await expect(option(page, /weather/)).toContainText('3 entries')
  await page.keyboard.press('Enter')
  await expect(box).toHaveValue('a harbour <lora:film_grain:0.6>, __weather__')
  await page.keyboard.type(' <')
  await expect(list(page)).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowUp')
  await expect(page.getByRole('option').first()).toHaveAttribute('aria-selected', 'true')
  await page.keyboard.press('Escape')
  await expect(list(page)).toBeHidden()
  await expect(box).toBeFocused()
})

test('a guess at a word never takes Enter, unless somebody walks in the list', async ({ page }) => {
  const box = promptOf(page)
  await page.keyboard.type('ea')
  await expect(option(page, /easynegative/)).toHaveAttribute('aria-selected', 'false')
  await page.keyboard.press('Enter')
  await expect(box).toHaveValue('ea\n')
  await page.keyboard.type('ea')
  await expect(option(page, /easynegative/)).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await expect(box).toHaveValue('ea\neasynegative')
})

test('a tap takes a suggestion, and trigger words are added by a press', async ({ page }) => {
  const box = promptOf(page)
  await page.keyboard.type('a harbour <film')
  await expect(option(page, /film_grain/)).toContainText('35mm')
  await option(page, /film_grain/).click()
  await expect(box).toHaveValue('a harbour <lora:film_grain:0.6>')
  await page.getByRole('button', { name: 'Add “35mm” to the prompt' }).click()
  await expect(box).toHaveValue(/35mm/)
  await expect(page.getByRole('button', { name: 'Add “35mm” to the prompt' })).toBeHidden()
})

test('weights go by keys, and Ctrl+Z goes back through all of it', async ({ page }) => {
  const box = promptOf(page)
  await page.keyboard.type('a lighthouse at dusk')
  await expectPrompts(page, [
    ['Control+ArrowUp', 'a lighthouse at (dusk:1.1)'],
    ['Control+ArrowUp', 'a lighthouse at (dusk:1.2)'],
    ['Control+ArrowDown Control+ArrowDown', 'a lighthouse at dusk'],
    ['Control+ArrowDown', 'a lighthouse at (dusk:0.9)'],
  ])
  await page.keyboard.press('Control+End')
  await page.keyboard.type(' <fil')
  await expect(option(page, /film_grain/)).toContainText('35mm')
  await expectPrompts(page, [
    ['Tab ArrowLeft Control+ArrowUp', 'a lighthouse at (dusk:0.9) <lora:film_grain:0.65>'],
    ['Control+z', 'a lighthouse at (dusk:0.9) <lora:film_grain:0.6>'],
    ['Control+z', 'a lighthouse at (dusk:0.9) <fil'],
  ])
  for (let step = 0; step < 12 && (await box.inputValue()) !== ''; step++) await page.keyboard.press('Control+z')
  await expect(box).toHaveValue('')
  await page.keyboard.press('Control+Shift+z')
  await expect(box).not.toHaveValue('')
})

test('a name that is not here is told, and found', async ({ page }) => {
  const box = promptOf(page)
  await page.keyboard.insertText('a cat <lora:film_grian:0.8>, __wether__')
  await expect(page.getByText('There is no LoRA “film_grian”.')).toBeVisible()
  await expect(page.getByText('There is no wildcard “wether”.')).toBeVisible()
  await page.getByText('There is no LoRA').getByRole('button', { name: 'Find' }).click()
  await page.getByRole('button', { name: 'Write film_grain instead' }).click()
  await expect(box).toHaveValue('a cat <lora:film_grain:0.8>, __wether__')
  await page.getByRole('button', { name: 'Find' }).click()
  await page.getByRole('button', { name: 'Write weather instead' }).click()
  await expect(box).toHaveValue('a cat <lora:film_grain:0.8>, __weather__')
  await expect(page.getByText(/There is no/)).toBeHidden()
})

test('tokens are counted while one types', async ({ page }) => {
  await page.keyboard.type('a red circle on a blue background')
  await expect(page.getByText(/^\d+ tokens$/)).toBeVisible()
  await page.keyboard.press('Control+a')
  await page.keyboard.press('Delete')
  await expect(page.getByText(/tokens$/)).toBeHidden()
})

test('words drawn by chance are resolved by the server without being asked, and shown before', async ({ page }) => {
  await page.keyboard.insertText('a {red|red} circle')
  await expect(page.getByText('Its words are drawn anew with each start.')).toBeVisible()
  await page.getByRole('button', { name: 'Show one' }).click()
  await expect(page.getByText('a red circle', { exact: true })).toBeVisible()
  const expands = (): Promise<unknown> =>
    page.evaluate(
      () =>
        new Promise((resolve) => {
          const opening = indexedDB.open('sdcpp-rest')
          opening.onsuccess = () => {
            const asked = opening.result.transaction('drafts').objectStore('drafts').getAll()
            asked.onsuccess = () => resolve(asked.result[0]?.draft.values.expand_prompt ?? null)
          }
        }),
    )
  await expect.poll(expands).toBe(true)
  await page.getByRole('button', { name: 'Hide' }).click()
  await promptOf(page).fill('a red circle')
  await expect(page.getByText('Its words are drawn anew')).toBeHidden()
  await expect.poll(expands).toBeNull()
})

test('earlier prompts come by keys and by a searchable list; what was typed comes back', async ({ page, server }) => {
  await server.draw({ prompt: 'a {green|green} star', expand_prompt: true })
  await server.draw({ prompt: 'a yellow moon' })
  await page.reload()
  const box = promptOf(page)
  await box.click()
  await page.keyboard.type('half a thought')
  await expectPrompts(page, [
    ['Alt+ArrowUp', 'a yellow moon'],
    ['Alt+ArrowUp', 'a {green|green} star'],
    ['Alt+ArrowDown', 'a yellow moon'],
    ['Alt+ArrowDown', 'half a thought'],
  ])
  await page.getByRole('button', { name: 'Earlier prompts' }).click()
  // The queue names its jobs by their prompts, too.
  const earlier = page.getByRole('dialog')
  await earlier.getByRole('searchbox').fill('star')
  await expect(earlier.getByRole('button', { name: 'a yellow moon' })).toBeHidden()
  await axe(page)
  await earlier.getByRole('button', { name: 'a {green|green} star' }).click()
  await expect(box).toHaveValue('a {green|green} star')
  await expect(box).toBeFocused()
  await page.keyboard.press('Control+z')
  await expect(box).toHaveValue('half a thought')
})

test('a pasted text with settings is an offer, and is taken back by one press', async ({ page }) => {
  const box = promptOf(page)
  const pasted =
    'a lighthouse\nNegative prompt: blurry\nSteps: 3, Sampler: Euler a, CFG scale: 1, Seed: 7, Size: 64x128, Model: "x, y"'
  await page.keyboard.insertText(pasted)
  await expect(page.getByText('This text holds settings: 3 steps, Euler a, 64 × 128, seed 7.')).toBeVisible()
  await expect(box).toHaveValue(pasted)
  await page.getByRole('button', { name: 'Use these settings' }).click()
  await expect(box).toHaveValue('a lighthouse')
  // Nothing is guided away from it now, so it is folded away, and says so.
  const negative = page.getByRole('textbox', { name: 'Negative prompt' })
  await expect(negative).toBeHidden()
  await page.getByText('not used at guidance 1').click()
  await expect(negative).toHaveValue('blurry')
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(box).toHaveValue(pasted)
})

test('styles are written, chosen, changed, deleted and brought back, and imported', async ({ page, server }) => {
  await page.getByRole('button', { name: 'Style', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Styles' })
  await dialog.getByRole('button', { name: 'New style' }).click()
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Ink')
  await dialog.getByRole('textbox', { name: 'Around the prompt' }).fill('ink drawing of {prompt}')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.getByRole('checkbox', { name: /Ink/ }).check()
  await dialog.locator('input[type=file]').setInputFiles({
    name: 'styles.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from('name,prompt,negative_prompt\nSoft,soft light,harsh\nInk,other,\n'),
  })
  await expect(page.getByText('1 style imported, 1 skipped')).toBeVisible()
  await dialog.getByRole('button', { name: 'Edit Soft' }).click()
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Softer')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(dialog.getByRole('checkbox', { name: /Softer/ })).toBeVisible()
  await expectEveryLook(page, 'prompt-styles')
  await dialog.getByRole('button', { name: 'Delete Ink' }).click()
  await expect(dialog.getByRole('checkbox', { name: /Ink/ })).toBeHidden()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('button', { name: 'Ink', exact: true })).toBeHidden()
  await page.getByRole('button', { name: 'Undo' }).click()
  const chip = page.getByRole('button', { name: 'Ink', exact: true })
  await expect(chip).toHaveAttribute('aria-pressed', 'true')
  await chip.click()
  await expect(chip).toHaveAttribute('aria-pressed', 'false')
  const { styles } = await server.api<{ styles: { name: string }[] }>('GET', '/styles')
  expect(styles.map((one) => one.name).sort()).toEqual(['Ink', 'Softer'])
})

test('LoRAs are found in a panel and put where the cursor was', async ({ page, allowErrors }) => {
  // The model file is none that could be applied: its price is refused, and the log has that.
  allowErrors(/status of 400 .*\/estimate/)
  await page.keyboard.type('a cat on a mat')
  await page.keyboard.press('Home')
  for (let step = 0; step < 5; step++) await page.keyboard.press('ArrowRight')
  await page.getByRole('button', { name: 'LoRA, wildcard' }).click()
  const dialog = page.getByRole('dialog', { name: 'Put into the prompt' })
  await expect(dialog.getByRole('searchbox')).toBeFocused()
  await dialog.getByRole('searchbox').fill('inkw')
  await expect(dialog.getByRole('listitem')).toHaveCount(1)
  await dialog.getByRole('button', { name: 'styles/ink_wash' }).click()
  await expect(promptOf(page)).toHaveValue('a cat <lora:styles/ink_wash:1> on a mat')
  await page.getByRole('button', { name: 'LoRA, wildcard' }).click()
  await expect(dialog.getByText('in the prompt')).toBeVisible()
  await dialog.getByRole('button', { name: /Wildcards/ }).click()
  await dialog.getByRole('button', { name: /weather/ }).click()
  await expect(promptOf(page)).toHaveValue('a cat <lora:styles/ink_wash:1>, __weather__ on a mat')
})

test('the keys find the prompt', async ({ page }) => {
  await promptOf(page).blur()
  await page.keyboard.press('/')
  await expect(promptOf(page)).toBeFocused()
  await page.keyboard.press('/')
  await expect(promptOf(page)).toHaveValue('/')
})

test('long and right-to-left prompts stay in line with their colours', async ({ page }) => {
  const box = promptOf(page)
  await box.fill('منارة عند (الغسق:1.2)، بحر هادئ <lora:film_grain:0.6>\n' + 'word (two:1.1) '.repeat(1_000))
  const [field, layer] = await page.evaluate(() => {
    const text = document.querySelector('textarea')!
    return [text.scrollHeight, text.nextElementSibling!.getBoundingClientRect().height]
  })
  expect(Math.abs(field! - layer!)).toBeLessThanOrEqual(1)
  await page.keyboard.press('Control+End')
  await page.keyboard.type('end')
  await expect(box).toHaveValue(/end$/)
})

test('everything in it is shown in every look, and axe finds nothing', async ({ page, allowErrors }) => {
  // There is no such LoRA: what it would cost is refused, and the log has that.
  allowErrors(/status of 400 .*\/estimate/)
  await page.keyboard.insertText(
    'a lighthouse at dusk, (warm [light]:1.2), __weather__, {red|blue} <lora:film_grain:0.6> <lora:nope> easynegative',
  )
  await expect(page.getByText('There is no LoRA')).toBeVisible()
  await forEachLook(page, async (look) => {
    await promptOf(page).press('Control+End')
    await page.keyboard.type(' <')
    await expect(list(page)).toBeVisible()
    await expectNoOverflow(page)
    await axe(page)
    await shoot(page, `prompt-${look.name}`)
  })
})

test.describe('with a language model', () => {
  let llm: Server
  test.beforeAll(async () => {
    llm = createServer((request, answer) => {
      answer.setHeader('Content-Type', 'application/json')
      request
        .resume()
        .on('end', () =>
          answer.end(
            JSON.stringify(
              request.method === 'GET'
                ? { data: [{ id: 'small' }] }
                : { choices: [{ message: { role: 'assistant', content: 'a tall lighthouse at dusk, calm sea' } }] },
            ),
          ),
        )
    })
    await once(llm.listen(0, '127.0.0.1'), 'listening')
  })
  test.afterAll(() => void llm.close())

  test('a better prompt is shown word by word, kept and taken back', async ({ page, server }) => {
    const box = promptOf(page)
    await page.keyboard.type('a lighthouse at dusk')
    await page.getByRole('button', { name: 'Enhance' }).click()
    const panel = page.getByRole('region', { name: 'Enhanced prompt' })
    await expect(panel.getByText('A language model can write your prompt')).toBeVisible()
    await expect(panel.getByRole('link', { name: 'settings' })).toHaveAttribute('href', server.page('settings'))
    const { port } = llm.address() as AddressInfo
    await server.api('PUT', '/ollama/settings', { api: 'openai', base_url: `http://127.0.0.1:${port}`, model: 'small' })
    await panel.getByRole('button', { name: 'Try again' }).click()
    await expect(panel.getByRole('insertion').first()).toContainText('tall')
    await axe(page)
    await panel.getByRole('button', { name: 'Keep' }).click()
    await expect(box).toHaveValue('a tall lighthouse at dusk, calm sea')
    await expect(panel).toBeHidden()
    await page.keyboard.press('Control+z')
    await expect(box).toHaveValue('a lighthouse at dusk')
  })
})
