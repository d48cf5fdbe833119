/**
 * Updates a folder again and again until it is killed: `tsx updateInProcess.ts FOLDER`. All files
 * of an update hold the same number.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { updateFolder } from '../../../src/files/writing/folderUpdate.ts';

const [folder] = process.argv.slice(2);
for (let round = 1; ; round++) {
  await updateFolder(folder, async (collected) => {
    const shards = round % 2 === 0 ? ['1-of-2', '2-of-2'] : ['single'];
    const written = ['index', ...shards.map((name) => `unet/${name}`), 'vae/config'];
    for (const name of ['unet', 'vae']) await mkdir(join(collected, name));
    for (const path of written) await writeFile(join(collected, path), `${round}`);
    const removed = ['unet/single', 'unet/1-of-2', 'unet/2-of-2'].filter(
      (path) => !written.includes(path),
    );
    return { written, removed };
  });
  if (round === 1) console.log('ready');
}
