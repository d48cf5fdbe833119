/** The package's own folder and version, found by its name, in the sources and when built. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

const manifest = createRequire(import.meta.url).resolve('stable-video-diffusion-tfjs/package.json');

/** The folder that holds the package's `package.json`. */
export const packageFolder = dirname(manifest);

export const version: string = JSON.parse(readFileSync(manifest, 'utf8')).version;
