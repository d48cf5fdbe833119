/** A Redis that would lose jobs, or that is not there. */
import { expect } from 'chai';
import { connect, START_REDIS } from '../../src/queue/connection.ts';
import { messageOf } from '../../src/text/messages.ts';
import { RedisServer } from '../harness/redis.ts';

const failure = (work: Promise<unknown>) => work.then(() => 'no failure', messageOf);

describe('connection to Redis', () => {
  const refusals: [string, string[], string][] = [
    [
      'keeps no log',
      ['--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
      'keeps no log of its jobs (appendonly is no), so they are lost when it ends',
    ],
    [
      'drops what it has no memory for',
      ['--appendonly', 'yes', '--maxmemory-policy', 'allkeys-lru'],
      'drops jobs when its memory is full (maxmemory-policy is allkeys-lru)',
    ],
  ];
  for (const [what, settings, reason] of refusals)
    it(`refuses one that ${what}`, async () => {
      const server = await RedisServer.start(settings);
      try {
        const message = await failure(connect(server.url));
        expect(message).to.equal(
          `the Redis at ${server.url} ${reason}. Start it by: ${START_REDIS}`,
        );
      } finally {
        await server.remove();
      }
    });

  it('says that none is there, without the password', async () => {
    const message = await failure(connect('redis://me:secret@127.0.0.1:1'));
    expect(message).to.match(/^no Redis answers at redis:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED/);
    expect(message).to.include(`Start one by: ${START_REDIS}`).and.not.include('secret');
  });
});
