import { describe, expect, it } from 'vitest'
import { guessType, readLink } from './links'

describe('links', () => {
  it('lead to Hugging Face', () => {
    const repo = { source: 'huggingface', repo_id: 'a/b', filename: '', revision: 'main' }
    for (const text of ['a/b', ' https://huggingface.co/a/b ', 'huggingface.co/a/b', 'https://hf.co/a/b?x=1'])
      expect(readLink(text)).toEqual(repo)
    expect(readLink('https://huggingface.co/a/b/blob/v2/dir/x%20y.gguf')).toEqual({
      ...repo,
      filename: 'dir/x y.gguf',
      revision: 'v2',
    })
    expect(readLink('https://huggingface.co/a/b/resolve/main/x.gguf?download=true')).toMatchObject({
      filename: 'x.gguf',
    })
    expect(readLink('https://huggingface.co/a/b/tree/dev')).toEqual({ ...repo, revision: 'dev' })
    expect(readLink('https://huggingface.co/settings')).toBeNull()
  })
  it('lead to CivitAI', () => {
    expect(readLink('123')).toEqual({ source: 'civitai', model_id: '123' })
    expect(readLink('123@45')).toEqual({ source: 'civitai', model_id: '123:45' })
    expect(readLink('urn:air:sdxl:lora:civitai:12@34')).toEqual({ source: 'civitai', model_id: '12:34' })
    expect(readLink('https://civitai.com/models/12/name?modelVersionId=34')).toEqual({
      source: 'civitai',
      model_id: '12:34',
    })
    expect(readLink('https://civitai.com/models/12')).toEqual({ source: 'civitai', model_id: '12' })
    expect(readLink('https://civitai.com/api/download/models/9')).toMatchObject({ source: 'url' })
  })
  it('lead elsewhere, or nowhere', () => {
    expect(readLink('http://127.0.0.1:9/dir/x.safetensors')).toEqual({
      source: 'url',
      url: 'http://127.0.0.1:9/dir/x.safetensors',
      filename: 'x.safetensors',
    })
    expect(readLink('http://h/%E0%A4%A/x%.gguf')).toMatchObject({ filename: 'x%.gguf' })
    expect(readLink('http://h')).toMatchObject({ filename: '' })
    for (const text of ['', 'words', 'ftp://h/x', 'javascript:alert(1)', '/etc/passwd', 'http://'])
      expect(readLink(text)).toBeNull()
  })
})

describe('the type of a file', () => {
  it.each([
    ['my_lora_v2.safetensors', 'lora'],
    ['control_v11p_sd15_canny.pth', 'controlnet'],
    ['taesd.safetensors', 'taesd'],
    ['RealESRGAN_x4plus.pth', 'esrgan'],
    ['4x-thing.pth', 'esrgan'],
    ['unknown.pth', 'esrgan'],
    ['split_files/vae/ae.safetensors', 'vae'],
    ['wan_2.1_vae.safetensors', 'vae'],
    ['t5xxl_fp16.safetensors', 't5'],
    ['umt5-xxl.gguf', 't5'],
    ['clip_l.safetensors', 'clip'],
    ['Qwen3-4B-Q4_K_M.gguf', 'llm'],
    ['qwen-image-Q4_K.gguf', 'diffusion'],
    ['z_image_turbo-Q4_K.gguf', 'diffusion'],
    ['flux1-dev.safetensors', 'diffusion'],
    ['some.gguf', 'diffusion'],
    ['easynegative.safetensors', 'embedding'],
    ['word.pt', 'embedding'],
    ['sd_turbo.safetensors', 'checkpoint'],
  ])('%s is %s', (name, type) => expect(guessType(name)).toBe(type))
  it('goes by the size where nothing else tells', () => expect(guessType('x.safetensors', 9_000)).toBe('embedding'))
})
