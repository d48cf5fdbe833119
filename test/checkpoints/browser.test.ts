import { readFileSync } from 'node:fs';
import { expect } from 'chai';

/** Every module that `file` imports, directly or not, among the files of this project, and the packages these import. */
function reach(file: URL, files = new Set<string>(), packages = new Set<string>()): { files: Set<string>; packages: Set<string> } {
  if (files.has(file.href)) return { files, packages };
  files.add(file.href);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) (?!type )[^;]*from '([^']+)';$/gm)) {
    if (name.startsWith('.')) reach(new URL(name, file), files, packages);
    else packages.add(name);
  }
  return { files, packages };
}

describe('checkpoints in a browser', () => {
  it('need tfjs and nothing of Node', () => {
    const { files, packages } = reach(new URL('../../src/checkpoints/browser.ts', import.meta.url));
    expect([...files].some((file) => file.endsWith('safetensors.ts'))).to.equal(true);
    expect([...packages]).to.deep.equal(['@tensorflow/tfjs']);
  });
});
