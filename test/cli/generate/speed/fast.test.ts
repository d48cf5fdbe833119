import { expect } from 'chai';
import { generateOptions } from '../../../../src/cli/generate/options.ts';
import { fastCommand, fastNote, fastValues } from '../../../../src/cli/generate/speed/fast.ts';
import { readArguments, readValues } from '../../../../src/cli/terminal/arguments.ts';
import { readGenerateCommand } from '../readCommand.ts';

const valuesOf = (...args: string[]) => {
  const given = readArguments(args, generateOptions);
  return fastValues(readValues(given, generateOptions, 'generate'), given.has);
};

describe('svd generate --fast', () => {
  it('takes fewer steps, and guidance where it shows', () => {
    expect(valuesOf('--fast')).to.deep.include({
      ...{ schedule: 'ays', numInferenceSteps: 12, guidanceInterval: [0, 50], dtype: undefined },
      deepCache: { interval: 2, branch: 1 },
    });
  });

  it('leaves what is passed as it is', () => {
    const own = ['--steps', '20', '--guidance-interval', '1,700', '--deep-cache', '3'];
    expect(valuesOf('--fast', ...own)).to.deep.include({
      ...{ schedule: 'ays', numInferenceSteps: 20, guidanceInterval: [1, 700] },
      deepCache: { interval: 3, branch: 1 },
    });
    expect(valuesOf('--fast', '--sigmas', '7,1,0')).to.deep.include({
      ...{ schedule: undefined, numInferenceSteps: 25, guidanceInterval: [0, 50] },
    });
  });

  it('leaves guidance alone where it is off', () => {
    expect(valuesOf('--fast', '--max-guidance-scale', '1').guidanceInterval).to.equal(undefined);
  });

  it('takes its schedule instead of noise levels that an output stores', () => {
    const stored = { ...readGenerateCommand(['a.png']), fast: true, sigmas: [7, 1, 0] };
    expect(fastValues(stored, () => false)).to.deep.include({
      ...{ schedule: 'ays', numInferenceSteps: 12, sigmas: undefined },
    });
  });

  it('is refused for a sampler of few steps', () => {
    expect(() => valuesOf('--fast', '--scheduler', 'animatelcm')).to.throw(
      /^--fast is for samplers that take 25 steps, but animatelcm needs 4 to 8/,
    );
  });

  it('computes in bfloat16 where that is faster, unless a type is passed', () => {
    const command = { ...readGenerateCommand(['a.png']), fast: true };
    const yes = () => true;
    expect(fastCommand(command, yes).dtype).to.equal('bfloat16');
    expect(fastCommand(command, () => false).dtype).to.equal(undefined);
    expect(fastCommand({ ...command, dtype: 'float32' }, yes).dtype).to.equal('float32');
    expect(fastCommand({ ...command, fast: false }, yes).dtype).to.equal(undefined);
  });

  it('says what it takes, as one would pass it', () => {
    const command = { ...readGenerateCommand(['a.png']), ...valuesOf('--fast') };
    expect(fastNote({ ...command, dtype: 'bfloat16' })).to.match(
      /^--fast takes --schedule ays --num-inference-steps 12 --guidance-interval 0,50 --deep-cache 2:1 --dtype bfloat16\. /,
    );
    const ofSigmas = ['--fast', '--sigmas', '7,1,0'];
    const own = { ...readGenerateCommand(['a.png']), ...valuesOf(...ofSigmas) };
    expect(fastNote(own)).to.match(/^--fast takes --guidance-interval 0,50 --deep-cache 2:1\. /);
    const unguided = [...ofSigmas, '--max-guidance-scale', '1'];
    expect(fastNote({ ...own, ...valuesOf(...unguided) })).to.match(
      /^--fast takes --deep-cache 2:1\. /,
    );
  });
});
