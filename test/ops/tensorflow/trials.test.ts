/** Trials of kernels decide once, and what is kept decides before them. */
import { expect } from 'chai';
import {
  type ChoiceStore,
  chosen,
  isQuicker,
  useChoices,
} from '../../../src/ops/tensorflow/trials.ts';

describe('trials of kernels', () => {
  let before: ChoiceStore | undefined;
  beforeEach(() => {
    before = useChoices(undefined);
  });
  afterEach(() => {
    useChoices(before);
  });

  /** A store in memory that logs what is kept in it. */
  function store(kept: Record<string, boolean> = {}) {
    const log: string[] = [];
    const get = (name: string) => kept[name];
    const keep = (name: string, choice: boolean) => {
      log.push(`${name} ${choice}`);
      kept[name] ??= choice;
      return kept[name];
    };
    return { get, keep, log };
  }
  const refuse = () => {
    throw new Error('tried again');
  };

  it('are held once in a process', () => {
    expect([chosen('a', () => true), chosen('a', refuse)]).to.deep.equal([true, true]);
    expect([chosen('b', () => false), chosen('b', refuse)]).to.deep.equal([false, false]);
  });

  it('are not held where the choice is kept, and kept where they are held', () => {
    const { log, ...kept } = store({ a: false });
    useChoices(kept);
    expect([chosen('a', refuse), chosen('b', () => true)]).to.deep.equal([false, true]);
    expect(log).to.deep.equal(['b true']);
    useChoices(kept); // as the next process does
    expect(chosen('b', refuse)).to.equal(true);
  });

  it('give way to a process that was first', () => {
    useChoices({ get: () => undefined, keep: () => false });
    expect([chosen('a', () => true), chosen('a', refuse)]).to.deep.equal([false, false]);
  });

  it('run both in turns', () => {
    let order = '';
    const run = (name: string) => () => {
      order += name;
    };
    isQuicker(run('a'), run('b'));
    expect(order).to.match(/^(ab)+$/);
    expect(isQuicker(run('a'), run('b'), 0)).to.equal(false);
  });
});
