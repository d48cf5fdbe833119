/**
 * `npm run wasm`: assembles the WebAssembly that transposes weights, and writes it into the
 * sources as text.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const folder = new URL('../../../converters/transpose/', import.meta.url);

/** `transpose.wat` as bytes. */
export async function assembled(): Promise<Uint8Array> {
  const module = (await wabt()).parseWat(
    'transpose.wat',
    readFileSync(new URL('transpose.wat', folder)),
    { simd: true, threads: true },
  );
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = Buffer.from(await assembled()).toString('base64');
  const lines = [
    '/** `transpose.wat`, assembled by `npm run wasm`. */',
    'export const transposeWasm =',
    `  '${text}';`,
    '',
  ];
  writeFileSync(new URL('transposeWasm.ts', folder), lines.join('\n'));
}
