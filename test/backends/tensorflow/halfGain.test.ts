/** Whether a processor gains by half precision is found without ever risking this process. */
import { expect } from 'chai';
import { findHalfGain } from '../../../src/backends/tensorflow/halfGain.ts';
import { type ChoiceStore, useChoices } from '../../../src/ops/tensorflow/trials.ts';
import { patience } from '../../harness/patience.ts';
import { testBackend } from '../../setup.ts';

describe('findHalfGain', function () {
  this.timeout(patience);
  const variables = ['ONEDNN_MAX_CPU_ISA', 'NODE_OPTIONS'];
  let before: { store?: ChoiceStore; env: (string | undefined)[] };

  beforeEach(function () {
    if (testBackend !== 'tensorflow') this.skip();
    before = { store: useChoices(undefined), env: variables.map((name) => process.env[name]) };
  });
  afterEach(() => {
    if (!before) return;
    useChoices(before.store);
    for (const [i, name] of variables.entries()) {
      if (before.env[i] === undefined) delete process.env[name];
      else process.env[name] = before.env[i];
    }
  });

  /** On a processor that has no such instructions, the first gate answers. */
  const found = (finding: string, pattern: RegExp) =>
    expect(finding).to.match(new RegExp(`^The processor has neither|${pattern.source}`));

  it('lives where the kernels end their process, and says so', () => {
    process.env.ONEDNN_MAX_CPU_ISA = 'AVX2';
    const { pays, share, finding } = findHalfGain('bfloat16');
    expect([pays, share]).to.deep.equal([false, undefined]);
    found(finding, /^oneDNN's kernels in bfloat16 end the process on this processor\.$/);
  });

  it('refuses kernels that only imitate the instructions', () => {
    process.env.ONEDNN_MAX_CPU_ISA = 'AVX512_CORE';
    const { pays, finding } = findHalfGain('bfloat16');
    expect(pays).to.equal(false);
    found(finding, /^Products .* in bfloat16 take \d+\.\d\d of float32's time, which is not below/);
  });

  for (const dtype of ['bfloat16', 'float16'] as const) {
    it(`goes by the times that ${dtype} takes here`, () => {
      const { pays, share, finding } = findHalfGain(dtype);
      expect(pays).to.equal(share !== undefined && share < 0.8);
      if (share !== undefined) expect(finding).to.include(`take ${share.toFixed(2)} of float32's`);
    });
  }

  it('keeps what the process has shown, and tries again when that failed', () => {
    const kept: Record<string, number | boolean> = {};
    const get = (name: string) => kept[name];
    const keep = (name: string, choice: number | boolean) => {
      kept[name] = choice;
      return choice;
    };
    useChoices({ get, keep });
    process.env.NODE_OPTIONS = '--require=/there/is/no/such/module';
    found(findHalfGain('bfloat16').finding, /^The trial of .* in bfloat16 failed: it ended with/);
    expect(kept).to.deep.equal({});
    useChoices({ get: () => 0.25, keep });
    found(findHalfGain('bfloat16').finding, /^Products .* take 0\.25 of float32's time\.$/);
  });
});
