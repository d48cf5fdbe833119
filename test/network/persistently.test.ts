/** What is tried again, for how long, and what is said meanwhile. */
import { expect } from 'chai';
import { NetworkError } from '../../src/network/errors.ts';
import { networkLimits } from '../../src/network/limits.ts';
import { type Attempt, persistently } from '../../src/network/persistently.ts';
import { warningsOf } from '../harness/warnings.ts';
import { messageOf } from './servers.ts';

const quick = { ...networkLimits, pause: 1, patience: 60_000 };

describe('persistently', () => {
  /** How often `work` is done, and what it ends with. */
  async function tries(work: (attempt: Attempt, n: number) => unknown, limits = {}) {
    let count = 0;
    let message = '';
    const warnings = await warningsOf(async () => {
      message = await messageOf(() =>
        persistently({ server: 'http://x', limits: { ...quick, ...limits } }, async (attempt) => {
          count += 1;
          return work(attempt, count);
        }),
      );
    });
    return { count, message, warnings };
  }
  const fails = (options: ConstructorParameters<typeof NetworkError>[1]) => () => {
    throw new NetworkError('it fails', options);
  };

  it('tries again what may pass, and tells of each pause', async () => {
    const { count, message, warnings } = await tries(fails({}));
    expect({ count, message }).to.deep.equal({ count: 6, message: 'it fails' });
    expect(warnings).to.have.length(5);
    expect(warnings[0]).to.match(/^http:\/\/x: it fails\. Trying again in [\d.]+ seconds\.$/);
    expect((await tries((_, n) => n < 3 && fails({})())).count).to.equal(3);
  });

  it('tries once what cannot pass', async () => {
    for (const passing of ['no', 'if reached'] as const) {
      const { count, warnings } = await tries(fails({ passing }));
      expect({ count, warnings }).to.deep.equal({ count: 1, warnings: [] });
    }
  });

  it('takes a host that was reached for one that comes back', async () => {
    const work = ({ progressed }: Attempt) => {
      progressed(1, 1);
      throw new NetworkError('it fails', { passing: 'if reached' });
    };
    expect((await tries(work)).count).to.equal(6);
  });

  it('counts anew after progress, but not after the same bytes again', async () => {
    const more = ({ progressed }: Attempt, n: number) => {
      progressed(Math.min(n, 10) * 100_000, 100_000);
      throw new NetworkError('it fails');
    };
    expect((await tries(more)).count).to.equal(15);
    const same = ({ progressed }: Attempt) => {
      progressed(100_000, 100_000);
      throw new NetworkError('it fails');
    };
    expect((await tries(same)).count).to.equal(6);
    const little = ({ progressed }: Attempt, n: number) => {
      progressed(100 * n, 100);
      throw new NetworkError('it fails');
    };
    expect((await tries(little)).count).to.equal(6);
  });

  it('waits as long as it is told to, but not too long in all', async () => {
    const long = await tries(fails({ pause: 300_000 }));
    expect(long.count).to.equal(1);
    expect(long.message).to.equal('it fails and asks to wait 5 minutes');
    const often = await tries(fails({ pause: 600 }), { patience: 1000 });
    expect(often.count).to.equal(2);
  });

  it('ends tries that take too long together', async () => {
    const { count, message } = await tries(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
      { patience: 50 },
    );
    expect({ count, message }).to.deep.equal({
      count: 1,
      message: 'it takes more than 0.1 seconds',
    });
    expect((await tries(fails({}), { pause: 1000, patience: 50 })).message).to.equal('it fails');
  });

  it('passes on what is no failure of the network, and the reason to stop', async () => {
    const { count, message } = await tries(() => {
      throw new Error('refused');
    });
    expect({ count, message }).to.deep.equal({ count: 1, message: 'refused' });
    const stop = new AbortController();
    const asking = { server: 'x', signal: stop.signal, limits: { ...quick, pause: 10_000 } };
    await warningsOf(async () => {
      const stopped = messageOf(() => persistently(asking, async () => fails({})()));
      setTimeout(() => stop.abort(new Error('enough')), 10);
      expect(await stopped).to.equal('enough');
    });
  });
});
