/** Choices between kernels are kept in a file, which may be missing, damaged or read-only. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  forgetKernelChoices,
  kernelChoices,
} from '../../../src/backends/tensorflow/kernelChoices.ts';

describe('kernelChoices', () => {
  let folder: string;
  let before: NodeJS.ProcessEnv;
  const data = () => join(folder, 'data');
  const file = () => join(data(), 'kernel-choices.json');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svd-'));
    before = { ...process.env };
    process.env.SVD_TENSORFLOW_DIR = data();
    delete process.env.SVD_FORGET_KERNELS;
  });
  afterEach(() => {
    for (const name of ['SVD_TENSORFLOW_DIR', 'SVD_FORGET_KERNELS']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    rmSync(folder, { recursive: true });
  });

  it('keeps choices for later processes, apart for each version of the libraries', () => {
    const [old, current] = [kernelChoices('1.0'), kernelChoices('2.0')];
    expect(current.get('convolution')).to.equal(undefined);
    expect(current.keep('convolution', false)).to.equal(false);
    expect(current.keep('product', true)).to.equal(true);
    expect([old.get('convolution'), old.keep('convolution', true)]).to.deep.equal([
      undefined,
      true,
    ]);
    const later = kernelChoices('2.0');
    expect([later.get('convolution'), later.get('product')]).to.deep.equal([false, true]);
    expect(readdirSync(data())).to.deep.equal(['kernel-choices.json']);
  });

  it('holds to the choice of a process that was first', () => {
    kernelChoices('1.0').keep('convolution', true);
    expect(kernelChoices('1.0').keep('convolution', false)).to.equal(true);
  });

  it('chooses again where the file is damaged, and mends it', () => {
    const choices = kernelChoices('1.0');
    for (const damage of ['', '{"', 'null', '[1]', '"text"', '\0\0\0']) {
      choices.keep('convolution', true);
      writeFileSync(file(), damage);
      expect(choices.get('convolution'), damage).to.equal(undefined);
      expect(choices.keep('convolution', false), damage).to.equal(false);
      expect(choices.get('convolution'), damage).to.equal(false);
      forgetKernelChoices();
    }
    choices.keep('convolution', true);
    writeFileSync(file(), readFileSync(file(), 'utf8').replace('true', '"yes"'));
    expect(choices.get('convolution')).to.equal(undefined);
  });

  it('chooses for this process alone where nothing can be written', () => {
    writeFileSync(data(), 'a file where the folder should be');
    const choices = kernelChoices('1.0');
    expect(choices.keep('convolution', true)).to.equal(true);
    expect(choices.get('convolution')).to.equal(undefined);
    expect(readFileSync(data(), 'utf8')).to.equal('a file where the folder should be');
  });

  it('forgets with SVD_FORGET_KERNELS=1, and by forgetKernelChoices', () => {
    const choices = kernelChoices('1.0');
    choices.keep('convolution', true);
    process.env.SVD_FORGET_KERNELS = '1';
    const anew = kernelChoices('1.0');
    expect(anew.get('convolution')).to.equal(undefined);
    expect(anew.keep('convolution', false)).to.equal(false);
    delete process.env.SVD_FORGET_KERNELS;
    expect(kernelChoices('1.0').get('convolution')).to.equal(false);
    forgetKernelChoices();
    expect(existsSync(file())).to.equal(false);
    forgetKernelChoices();
  });
});
