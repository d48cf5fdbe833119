/** The package's own version, found by its name, in the sources and when built. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url).resolve('stable-video-diffusion-tfjs/package.json');

export const version: string = JSON.parse(readFileSync(manifest, 'utf8')).version;
