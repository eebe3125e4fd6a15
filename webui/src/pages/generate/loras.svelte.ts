/** What is known of the LoRA files here: the words that each listens to. Looked up when their list is opened. */
import { api, ask } from '../../lib/api/client'

class LoraCards {
  words = $state<Record<string, string[]>>({})
  private asked = new Set<string>()

  async look(name: string): Promise<void> {
    if (this.asked.has(name)) return
    this.asked.add(name)
    try {
      const path = { model_type: 'lora', model_name: name }
      const card = await ask((signal) =>
        api.GET('/models/{model_type}/{model_name}/card', { params: { path }, signal }),
      )
      this.words[name] = card.trigger_words
    } catch {
      // Without its card a LoRA works all the same; it is asked for again when the list is opened anew.
      this.asked.delete(name)
    }
  }
}

export const loraCards = new LoraCards()
