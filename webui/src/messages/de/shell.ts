import { formatNumber, pickPlural } from '../../lib/format'
import type { Messages } from '../en'

const shell: Messages['shell'] = {
  pages: 'Seiten',
  generate: 'Erzeugen',
  queue: 'Warteschlange',
  gallery: 'Galerie',
  models: 'Modelle',
  upscale: 'Vergrößern',
  assistant: 'Assistent',
  settings: 'Einstellungen',
  more: 'Mehr',
  skip: 'Zum Inhalt springen',
  notices: 'Meldungen',
  connected: 'Verbunden',
  away: 'Server nicht erreichbar',
  awayBanner: 'Der Server ist nicht erreichbar. Geschriebenes bleibt erhalten; Gestartetes wartet, bis er zurück ist.',
  tryNow: 'Jetzt versuchen',
  otherVersion: (version) => `Der Server hat jetzt Version ${version}. Lade die Seite neu, damit sie dazu passt.`,
  reload: 'Neu laden',
  noModel: 'Kein Modell',
  loadingModel: (name) => `${name} wird geladen`,
  engineDown: 'Der Rechenprozess startet',
  vram: 'VRAM',
  ram: 'RAM',
  memory: 'Speicher',
  status: 'Zustand',
  running: (running, waiting) =>
    waiting
      ? `${formatNumber(running)} in Arbeit, ${formatNumber(waiting)} in der Schlange`
      : running
        ? `${formatNumber(running)} in Arbeit`
        : 'Nichts zu tun',
  downloads: (count) => `${formatNumber(count)} ${pickPlural(count, { one: 'Download', other: 'Downloads' })}`,
  keysHint: '? zeigt die Tasten',
  keysTitle: 'Tasten',
  spaceKey: 'Leertaste',
  missingTitle: 'Diese Seite gibt es nicht',
  missingText: 'Die Adresse führt zu keiner Seite dieses Servers.',
  toStart: 'Zu Erzeugen',
  signIn: 'Anmelden',
  signInText: 'Dieser Server verlangt einen Schlüssel. Es ist einer von denen in seiner Konfiguration (auth.api_keys).',
  key: 'Schlüssel',
  wrongKey: 'Dieser Schlüssel gehört nicht zu diesem Server',
  tooMany: 'Zu viele Versuche. Warte eine Minute.',
  signOut: 'Abmelden',
  failedTitle: 'Die Seite konnte nicht beginnen',
  failedText:
    'Der Server hat nicht geantwortet, wie er sollte. Vielleicht startet er gerade, oder er hat eine Version ohne diese Seite.',
  refusedTitle: 'Der Server weist diese Adresse ab',
  refusedText: 'Er antwortet nur auf Rechnernamen, die er kennt. Trage den aus der Adresszeile in die Einstellung ein:',
  theme: 'Hell oder dunkel',
  jobsWord: 'Aufträge',
  pageGone: 'Ein Teil dieser Seite ist nicht mehr da. Wahrscheinlich wurde der Server erneuert.',
  stage: 'Bild',
  queueAndLatest: 'Warteschlange und neueste Bilder',
  queueDone: 'Alle Bilder sind gezeichnet',
  phonePages: 'Seiten, Telefon',
}
export default shell
