/** Stands in for the process that computes: does at once what the settings of a job say. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const tell = (message) => process.send(message);
let stopped = false;

async function perform({ job, picture, output }) {
  const { does } = job.settings;
  if (does === 'die') process.kill(process.pid, 'SIGKILL');
  if (does === 'refuse') return { kind: 'refused', reason: 'it is too large' };
  if (does === 'fail') return { kind: 'failed', reason: 'it is no picture', mayPass: false };
  const state = `${output}.state`;
  const before = existsSync(state) ? readFileSync(state, 'utf8') : '';
  if (does === 'fail once' && before === '') {
    writeFileSync(state, 'tried');
    return { kind: 'failed', reason: 'the disk is full', mayPass: true };
  }
  if (does === 'wait' && before === '') {
    tell({ progress: { stage: 'sampling', step: 1, steps: 2 } });
    writeFileSync(state, 'step 1, ');
    tell({ state });
    while (!existsSync(`${picture}.go`) && !existsSync(job.settings.go)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (stopped) return { kind: 'stopped' };
    }
  }
  writeFileSync(output, `${before}made of ${readFileSync(picture, 'utf8')}`);
  return { kind: 'done', paths: [output], backend: 'none' };
}

process.on('disconnect', () => process.exit());
process.on('message', async (message) => {
  if (message === 'stop') stopped = true;
  else if ('setup' in message) tell({ ready: message.setup.ready ?? { backend: 'none' } });
  else tell({ outcome: await perform(message.task) });
});
