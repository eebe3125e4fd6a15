/** What goes before everything that deletes pictures: whether there is a way back, and a question where there is none. */
import { api, ask } from '../lib/api/client'

/** Whether what is deleted now goes to the recycle bin; null: it would be gone for good, and the user does not want that. */
export async function askToDelete(question: string): Promise<boolean | null> {
  // Asked each time: the recycle bin may have been switched off since.
  const { enabled } = await ask((signal) => api.GET('/settings/recycle-bin', { signal }))
  return enabled || confirm(question) ? enabled : null
}
