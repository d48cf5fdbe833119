/** Wrong options of describing a model. */
import { expect } from 'chai';
import { describeModel } from '../../../src/pipelines/loading/describeModel.ts';
import { messageOf } from '../../network/servers.ts';

describe('describeModel', () => {
  it('refuses what is no path', async () => {
    for (const path of [undefined, 5, ''])
      expect(await messageOf(() => describeModel(path as string))).to.match(
        /^`describeModel` takes a path or name as its first argument, not/,
      );
  });

  it('refuses options that it has not', async () => {
    const describing = (options: object) => messageOf(() => describeModel('nowhere', options));
    expect(await describing({ num_frames: 2 })).to.equal(
      '`describeModel` has no option `num_frames`. Use `numFrames`.',
    );
    expect(await describing({ offload: 'yes' })).to.include('`offload` has to be one of none,');
  });
});
