import js from '@eslint/js'
import svelte from 'eslint-plugin-svelte'
import globals from 'globals'
import ts from 'typescript-eslint'
import svelteConfig from './svelte.config.js'

export default ts.config(
  { ignores: ['node_modules', 'coverage', 'test-results', 'src/api.d.ts'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      'no-undef': 'off', // TypeScript's
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      'no-console': 'error',
      '@typescript-eslint/no-extraneous-class': 'off', // stand-ins of the browser's in tests
    },
  },
  {
    files: ['tests/**', 'checks/**', '**/*.test.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'CallExpression[callee.property.name=/^(skip|fixme|fail|only|todo)$/]',
          message: 'Every test runs, and is to pass.',
        },
        {
          selector: 'CallExpression[callee.property.name="waitForTimeout"], Literal[value="networkidle"]',
          message: 'Wait for what is to happen, not for time.',
        },
      ],
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
    rules: {
      // Text of files, prompts and other users never becomes markup.
      'svelte/no-at-html-tags': 'error',
      // The policy of the page forbids the attribute; `style:name={…}` sets a property by script, which it allows.
      'svelte/no-inline-styles': 'off',
      'svelte/prefer-svelte-reactivity': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'SvelteAttribute[key.name="style"]',
          message: 'Use style:name={value}: the policy of the page forbids style attributes.',
        },
      ],
      'svelte/no-target-blank': 'error',
      'svelte/button-has-type': 'error',
    },
  },
)
