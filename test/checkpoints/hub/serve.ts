/**
 * Serves a folder as the model some-org/some-model of a hub: `tsx serve.ts FOLDER`. Prints its
 * address, then each request for a file.
 */
import { filesOf, TestHub } from './server.ts';

const hub = await TestHub.start(await filesOf(process.argv[2]));
hub.fault = (path) => {
  console.log(path);
  return undefined;
};
console.log(hub.endpoint);
