/** The assistant: what it would do is shown, and done when one says so; without a language model that is said. */
import { startLanguageModel } from './harness/language_model'
import { axe, expect, expectEveryLook, startJob, test } from './server'

test('what it proposes is shown, done, or put into the draft', async ({ page, server }) => {
  await server.untilModel()
  const model = await startLanguageModel([
    [['I would draw ', '<b>this</b>.'], [['generate', { prompt: 'a green star', steps: 1 }]]],
    [['Or this.'], [['generate', { prompt: 'a blue square', steps: 2 }]]],
  ])
  try {
    await server.api('PUT', '/assistant/settings', { base_url: model.url, model: 'llama3.2', api: 'ollama' })
    await page.goto(server.page('assistant'))
    const box = page.getByRole('textbox', { name: /^Ask for a picture/ })
    await box.fill('Draw a star')
    await box.press('Enter')
    await expect(page.getByRole('listitem').filter({ hasText: 'I would draw <b>this</b>.' })).toBeVisible()
    const proposal = page.getByRole('region', { name: 'It would do this: Draw a picture' })
    await expect(proposal).toContainText('a green star')
    await expectEveryLook(page, 'assistant')
    // Nothing is done before one says so.
    expect(await server.api('GET', '/queue')).toMatchObject({ items: [] })
    const id = await startJob(page, () => proposal.getByRole('button', { name: 'Do it' }).click())
    await expect(proposal.getByRole('status')).toHaveText('Done')
    const job = await server.untilJob(id)
    expect(job).toMatchObject({ status: 'completed', params: { prompt: 'a green star', steps: 1 } })

    await box.fill('Something else')
    await page.getByRole('button', { name: 'Send' }).click()
    const second = page.getByRole('region', { name: 'It would do this: Draw a picture' }).nth(1)
    await second.getByRole('button', { name: 'Put it into the draft' }).click()
    await expect(page.getByRole('textbox', { name: 'Prompt', exact: true })).toHaveValue('a blue square')
    await expect(page.getByRole('textbox', { name: 'Steps' })).toHaveValue('2')
    expect(await server.api('GET', '/queue')).toMatchObject({ items: [{ job_id: id }] })
  } finally {
    await model.close()
  }
})

test('without a language model the page says so in one sentence, and looks again', async ({ page, server }) => {
  const model = await startLanguageModel([[['Hello'], []]])
  // Nobody listens here: the port was given back.
  await model.close()
  await server.api('PUT', '/assistant/settings', { base_url: model.url, model: 'llama3.2', api: 'ollama' })
  await page.goto(server.page('assistant'))
  await expect(page.getByText(/^No language model answers\. Start Ollama or another/)).toBeVisible()
  await expect(page.getByRole('textbox')).toHaveCount(0)
  await axe(page)
  const back = await startLanguageModel([[['Hello'], []]])
  try {
    await server.api('PUT', '/assistant/settings', { base_url: back.url })
    await page.getByRole('button', { name: 'Look again' }).click()
    await expect(page.getByRole('textbox', { name: /^Ask for a picture/ })).toBeVisible()
  } finally {
    await back.close()
  }
})
