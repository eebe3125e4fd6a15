import { describe, expect, it } from 'vitest'
import { apiUrl, outputUrl, pageUrl, socketUrl, thumbUrl } from './address'

const base = new URL('https://example.org/pics/')

describe('addresses below a proxy’s path', () => {
  it('keeps the path in front of everything', () => {
    expect(apiUrl('/queue?limit=2', base)).toBe('https://example.org/pics/queue?limit=2')
    expect(pageUrl('gallery', '12', {}, base)).toBe('https://example.org/pics/ui/gallery/12')
    expect(pageUrl('', '', { q: 'a b' }, base)).toBe('https://example.org/pics/ui/?q=a+b')
  })

  it('escapes each part of a file’s name', () => {
    expect(outputUrl('a b/50% <x>#1.png', 'v/1', base)).toBe(
      'https://example.org/pics/output/a%20b/50%25%20%3Cx%3E%231.png?v=v%2F1',
    )
    expect(outputUrl('a/b.png', undefined, base)).toBe('https://example.org/pics/output/a/b.png')
    expect(thumbUrl('j/i.png', 256, 'v1', 'cover', base)).toBe(
      'https://example.org/pics/thumb/j/i.png?size=256&fit=cover&v=v1',
    )
    expect(thumbUrl('j/i.png', 512, undefined, undefined, base)).toBe(
      'https://example.org/pics/thumb/j/i.png?size=512&fit=inside',
    )
  })

  it('asks the stream of the same origin for what was missed', () => {
    expect(socketUrl(41, 'abc', base)).toBe('wss://example.org/pics/ws?since=41&epoch=abc')
    expect(socketUrl(undefined, undefined, new URL('http://localhost:8080/'))).toBe('ws://localhost:8080/ws')
  })
})
