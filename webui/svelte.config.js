// Read by svelte-check and the editor too; Vite's plugin takes the same object.
export default { compilerOptions: { runes: true } }
