/** What makes two jobs one. */
import { expect } from 'chai';
import { checkedJob, type Job, jobId } from '../../src/queue/job.ts';

const job: Job = {
  picture: { name: 'a.png', path: '/pictures/a.png', sha256: 'aa' },
  settings: { seeds: [1], height: 16, width: undefined },
  checkpoint: { hash: 'cc', path: '/model' },
  output: '/videos/a.mp4',
  carrier: 'folder',
};

const withLora = (path: string, scale: number): Job => ({
  ...job,
  checkpoint: { ...job.checkpoint, loras: [{ path, scale }] },
});

describe('a job of the queue', () => {
  it('is known by its picture, settings, seed and checkpoint', () => {
    const others: Job[] = [
      { ...job, picture: { ...job.picture, sha256: 'ab' } },
      { ...job, settings: { ...job.settings, height: 24 } },
      { ...job, settings: { ...job.settings, seeds: [2] } },
      { ...job, checkpoint: { hash: 'cd' } },
      ...[1, -1].map((scale) => withLora('/a.safetensors', scale)),
    ];
    const ids = [job, ...others].map(jobId);
    expect(new Set(ids).size).to.equal(7);
    for (const id of ids) expect(id).to.match(/^[0-9a-f]{64}$/);
  });

  it('is the same wherever its files are, and in whatever order its settings', () => {
    const same: Job = {
      picture: { name: 'b.png', path: '/b.png', sha256: 'aa' },
      settings: { height: 16, seeds: [1] },
      checkpoint: { hash: 'cc' },
      output: '/b.mp4',
      carrier: 'redis',
    };
    expect(jobId(same)).to.equal(jobId(job));
    expect(jobId(withLora('/a.safetensors', 1))).to.equal(jobId(withLora('/b/a.safetensors', 1)));
  });

  it('is refused when another program has written something else', () => {
    const { picture, ...others } = job;
    for (const data of [undefined, 'text', {}, others, { ...job, carrier: 'pigeon' }])
      expect(() => checkedJob(data)).to.throw('the job is none of svd queue add.');
    expect(checkedJob(job)).to.equal(job);
  });
});
