/** Models: loaded, looked into, converted, renamed and deleted; fetched from a source that breaks off; sent from here. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { Hub, makeSafetensors } from './harness/hub'
import { axe, expect, expectEveryLook, RunningServer, test } from './server'

const DEMO = 'demo_dit_q8_0.gguf'
const SIZE = 1 << 20

async function openDemo(page: Page, server: RunningServer): Promise<void> {
  await server.untilModel()
  await page.goto(server.page('models'))
  await page.getByRole('link', { name: /Demo pictures/ }).click()
  await expect(page.getByRole('dialog', { name: 'Demo pictures (tiny)' })).toBeVisible()
}

test('a model is freed, and loaded again with its own parts and the fit of them', async ({ page, ownServer }) => {
  await openDemo(page, ownServer)
  const sheet = page.getByRole('dialog', { name: 'Demo pictures (tiny)', exact: true })
  await sheet.getByRole('button', { name: 'Unload' }).click()
  await expect(page.getByText('The memory is free again.')).toBeVisible()
  expect((await ownServer.health()).model_loaded).toBe(false)
  await sheet.getByRole('button', { name: 'Load', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Load Demo pictures (tiny)' })
  await expect(dialog.getByText(/^Fits: /)).toBeVisible()
  await expect(dialog.getByLabel(/^Language model/)).toHaveValue('demo_llm_q4_0.gguf')
  await expect(dialog.getByLabel(/^Tiny autoencoder/)).toHaveValue('demo_tae.safetensors')
  await expectEveryLook(page, 'models-load')
  await dialog.getByRole('button', { name: 'Load', exact: true }).click()
  await expect(page.getByText(`${DEMO} is loaded.`)).toBeVisible()
  await expect(dialog).toBeHidden()
  expect((await ownServer.health()).model_name).toBe(DEMO)
})

test('a model is looked into and converted; the copy is renamed and deleted', async ({ page, server }) => {
  await openDemo(page, server)
  const sheet = page.getByRole('dialog', { name: 'Demo pictures (tiny)', exact: true })
  await sheet.getByRole('button', { name: 'Inside the file' }).click()
  await expect(sheet.getByText('general.architecture')).toBeVisible()
  await expect(sheet.getByText('q8_0', { exact: true })).toBeVisible()
  await axe(page)
  await sheet.getByRole('button', { name: 'Convert', exact: true }).click()
  await sheet.getByLabel('Number format').selectOption('q4_0')
  await expect(sheet.getByText(/^Fits: /)).toBeVisible()
  await sheet.getByRole('button', { name: 'Convert', exact: true }).last().click()
  await expect(page.getByText(/The conversion has begun/)).toBeVisible()
  await page.keyboard.press('Escape')
  const made = page.getByRole('link', { name: /demo_dit_q8_0\.q4_0/ })
  await expect(made).toBeVisible({ timeout: 60_000 })
  await made.click()
  const copy = page.getByRole('dialog').first()
  await copy.getByRole('button', { name: 'File', exact: true }).click()
  await copy.getByRole('button', { name: 'Compute SHA-256' }).click()
  await expect(copy.getByText(/^[0-9a-f]{64}$/)).toBeVisible()
  await copy.getByLabel('Name', { exact: true }).fill('demo_small.gguf')
  await copy.getByLabel(/^Folder/).fill("it's mine")
  await copy.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByText("It is now it's mine/demo_small.gguf.")).toBeVisible()
  // The address names it: what was opened is open after a reload.
  await page.reload()
  await page.getByRole('dialog').getByRole('button', { name: 'File', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  const sure = page.getByRole('dialog', { name: 'Delete this model file' })
  await expect(sure.getByText(/it's mine\/demo_small\.gguf \(.*MB\)/)).toBeVisible()
  await sure.getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('demo_small.gguf is deleted.')).toBeVisible()
  await expect(page.getByRole('link', { name: /demo_small/ })).toHaveCount(0)
})

test.describe('with many files', () => {
  const files = Object.fromEntries(
    Array.from({ length: 500 }, (_, at) => [`loras/many/style ${at} <b>"x'.safetensors`, makeSafetensors(64)]),
  )
  test.use({ modelFiles: files })

  test('few are rendered, names stay text, the address keeps the search, a card is written', async ({
    page,
    server,
  }) => {
    await page.goto(server.page('models?type=lora'))
    await expect(page.getByRole('button', { name: /^LoRAs/ })).toHaveAttribute('aria-pressed', 'true')
    const tiles = page.getByRole('main').getByRole('listitem')
    await expect(tiles).toHaveCount(60)
    await page.getByRole('button', { name: /^Show 60 more/ }).click()
    await expect(tiles).toHaveCount(120)
    await page.getByLabel('Search models').fill('style 499')
    await expect(tiles).toHaveCount(1)
    await page.reload()
    await expect(tiles).toHaveCount(1)
    await expectEveryLook(page, 'models-many')
    await page.getByRole('link', { name: /style 499/ }).click()
    const sheet = page.getByRole('dialog')
    await sheet.getByRole('button', { name: 'Edit' }).click()
    await sheet.getByLabel('Title').fill('<img src=x> "Red"')
    await sheet.getByLabel('Trigger words').fill('<b>red</b>, glow')
    await sheet.getByRole('button', { name: 'Save' }).click()
    await sheet.getByRole('button', { name: 'Add <b>red</b> to the prompt' }).click()
    await expect(page.getByText('<b>red</b> stands in the prompt.')).toBeVisible()
    await expect(page.getByRole('dialog', { name: '<img src=x> "Red"' })).toBeVisible()
    await axe(page)
  })
})

test('a first model is fetched: cut, resumed where it was, kept over a reload; a failed load shows the way', async ({
  page,
  allowErrors,
}) => {
  const file = makeSafetensors(SIZE)
  const hub = await Hub.start({ 'stabilityai/sd-turbo': { 'sd_turbo.safetensors': file } })
  const server = await RunningServer.start({ settings: hub.settings })
  try {
    // The source is down, and what came is no model of a known family.
    allowErrors(/status of (502|400)/)
    hub.isDown = true
    await page.goto(server.page('models'))
    const card = page.getByRole('article', { name: 'SD Turbo' })
    await card.getByRole('button', { name: /^Get it/ }).click()
    await expect(card.getByRole('alert')).toContainText('cannot be reached')
    await expect(card.getByText(join(server.modelsDir, 'checkpoints'))).toBeVisible()
    await expectEveryLook(page, 'models-offline')
    hub.isDown = false
    hub.heldAt = SIZE / 2
    await card.getByRole('button', { name: /^Try again/ }).click()
    await expect(card.getByText(/kB of/)).toBeVisible()
    await page.reload()
    await expect(card.getByText(/kB of/)).toBeVisible()
    await axe(page)
    hub.cut()
    await expect(card.getByRole('button', { name: /^Resume/ })).toBeVisible()
    hub.isDown = false
    await card.getByRole('button', { name: /^Resume/ }).click()
    await expect(page.getByText('sd_turbo.safetensors could not be loaded.')).toBeVisible()
    expect(readFileSync(join(server.modelsDir, 'checkpoints', 'sd_turbo.safetensors')).equals(file)).toBe(true)
    expect(hub.starts).toEqual([0, SIZE / 2])
    await page.getByRole('button', { name: 'Other settings' }).click()
    await expect(page.getByRole('dialog', { name: 'Load sd_turbo' })).toBeVisible()
  } finally {
    hub.close()
    await server.close()
  }
})

test('a pasted link tells what is there before it starts; a file of this device is sent', async ({
  page,
  allowErrors,
}) => {
  const file = makeSafetensors(SIZE)
  const hub = await Hub.start({ 'org/several': { 'red_lora.safetensors': file, 'dir/other.gguf': file } })
  const server = await RunningServer.start({ settings: hub.settings })
  try {
    // A repository of several files: the refusal names them.
    allowErrors(/status of 400/)
    await page.goto(server.page('models?add=link'))
    const dialog = page.getByRole('dialog', { name: 'Add a model' })
    await dialog.getByLabel('Link').fill('no link at all')
    await expect(dialog.getByText('This is no link that leads to a model.')).toBeVisible()
    await dialog.getByLabel('Link').fill('https://huggingface.co/org/several')
    await dialog.getByRole('button', { name: 'Look it up' }).click()
    await dialog.getByLabel('Which file').selectOption('red_lora.safetensors')
    await expect(dialog.getByText(/^[0-9a-f]{64}$/)).toBeVisible()
    await expect(dialog.getByText(/^Fits: .*roughly$/)).toBeVisible()
    await expect(dialog.getByLabel('Type', { exact: true })).toHaveValue('lora')
    expect(hub.starts).toEqual([])
    await axe(page)
    await dialog.getByRole('button', { name: 'Download' }).click()
    await expect(page.getByRole('link', { name: /red_lora/ })).toBeVisible()

    await page.goto(server.page('models?add=file'))
    await dialog.locator('input[type=file]').setInputFiles({
      name: 'x2_esrgan.safetensors',
      mimeType: 'application/octet-stream',
      buffer: file,
    })
    await expect(dialog.getByLabel('Type', { exact: true })).toHaveValue('esrgan')
    await dialog.getByLabel('Type', { exact: true }).selectOption('embedding')
    await axe(page)
    await dialog.getByRole('button', { name: 'Send to the server' }).click()
    await expect(page.getByRole('link', { name: /x2_esrgan/ })).toBeVisible()
  } finally {
    hub.close()
    await server.close()
  }
})

test('of several dropped model files each is asked about and sent', async ({ page, server }) => {
  await page.goto(server.page('models'))
  await expect(page.getByRole('link', { name: /Demo pictures/ })).toBeVisible()
  await page.evaluate(
    (bytes) => {
      const carried = new DataTransfer()
      for (const name of ['first_lora.safetensors', 'second_vae.safetensors'])
        carried.items.add(new File([new Uint8Array(bytes)], name))
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true }))
    },
    [...makeSafetensors(64)],
  )
  await page.getByRole('button', { name: 'Add to the models' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add a model' })
  await expect(dialog.getByLabel('Name', { exact: true })).toHaveValue('first_lora.safetensors')
  await dialog.getByRole('button', { name: 'Send to the server' }).click()
  await expect(dialog.getByLabel('Name', { exact: true })).toHaveValue('second_vae.safetensors')
  await expect(dialog.getByLabel('Type', { exact: true })).toHaveValue('vae')
  await dialog.getByRole('button', { name: 'Send to the server' }).click()
  await expect(dialog).toBeHidden()
  await expect(page.getByRole('link', { name: /first_lora/ })).toBeVisible()
  await expect(page.getByRole('link', { name: /second_vae/ })).toBeVisible()
})

test('while the demo is all there is, the stage of Generate offers a real model, and the way to all of them', async ({
  page,
  ownServer,
}) => {
  await ownServer.untilModel()
  await page.goto(ownServer.page())
  const offer = page.getByRole('main').getByRole('region', { name: 'Get a real model' })
  await expect(offer.getByRole('article')).toHaveCount(1)
  await expect(offer.getByRole('button', { name: /^Get it/ })).toBeEnabled()
  await expectEveryLook(page, 'generate-offer')
  const name = await offer.getByRole('article').getAttribute('aria-label')
  await offer.getByRole('link', { name: 'All suggestions' }).click()
  await expect(page.getByRole('heading', { name: 'Models', level: 1 })).toBeVisible()
  await expect(page.getByRole('article', { name: name!, exact: true })).toBeVisible()
})
