/**
 * Lets work that uses the same models run one after the other: weights that come and go, memory
 * settings and the sampler's place in its schedule belong to one call at a time.
 */

/** The work that uses one part, such as a model. */
interface Use {
  /** Work that runs or waits. */
  count: number;
  /** Resolves when all of it has ended. */
  ended: Promise<unknown>;
  /** While a callback is waited for: resolves when the work that it has begun has ended. */
  lent?: Promise<unknown>;
  freed?: true;
}

const uses = new WeakMap<object, Use>();

function usesOf(parts: readonly object[]): Use[] {
  return parts.map((part) => {
    const use = uses.get(part) ?? { count: 0, ended: Promise.resolve() };
    uses.set(part, use);
    return use;
  });
}

/** A callback, and the one whose code has made the call that it belongs to. */
interface Callback {
  uses: readonly Use[];
  outer?: Callback;
  ended?: true;
}

/** The callback whose code runs now, where nothing tells that: until its first wait. */
const untilFirstWait = {
  now: undefined as Callback | undefined,
  getStore: () => untilFirstWait.now,
  run<T>(callback: Callback, work: () => T): T {
    const outer = this.now;
    this.now = callback;
    try {
      return work();
    } finally {
      this.now = outer;
    }
  },
};

// Not imported, because browsers have no such module.
const hooks = globalThis.process?.getBuiltinModule?.('node:async_hooks');
const callbacks = hooks ? new hooks.AsyncLocalStorage<Callback>() : untilFirstWait;

/** @throws Error if the code of a callback would wait for its own call to end. */
function refuseOwn(waitsFor: (use: Use) => unknown): void {
  for (let callback = callbacks.getStore(); callback; callback = callback.outer) {
    if (callback.ended || !callback.uses.some(waitsFor)) continue;
    throw new Error(
      'A callback of a call cannot wait for another call of the same pipeline, nor for the ' +
        'pipeline to be freed: both come after the call has ended. Wait after the call.',
    );
  }
}

/** Options of `inTurn`. */
export interface TurnOptions {
  /** Ends the wait: the promise then rejects with its reason. */
  signal?: AbortSignal;
  /** Whether the work may run within a callback of other work, which goes on after both. */
  withinCallback?: boolean;
}

/**
 * Does `work` once all earlier work that uses one of `parts` has ended.
 * @throws Error if a part has been freed, or if the work would wait for itself; the signal's reason
 * if it aborts before the work begins; what `work` throws.
 */
export async function inTurn<T>(
  parts: readonly object[],
  work: () => Promise<T>,
  { signal, withinCallback = false }: TurnOptions = {},
): Promise<T> {
  const used = usesOf(parts);
  if (used.some(({ freed }) => freed))
    throw new Error('The pipeline has been disposed of. Load it again before using it.');
  const within = withinCallback ? used.filter(({ lent }) => lent) : [];
  const [queue, queued] =
    within.length > 0 ? (['lent', within] as const) : (['ended', used] as const);
  if (queue === 'ended') refuseOwn((use) => used.includes(use));
  const before = Promise.all(queued.map((use) => use[queue]));
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  for (const use of used) use.count++;
  for (const use of queued) use[queue] = before.then(() => ended);
  try {
    await unlessAborted(before, signal);
    return await work();
  } finally {
    for (const use of used) use.count--;
    end();
  }
}

/** Waits for a callback of the caller's, and for work that it begins with `withinCallback`. */
export async function callBack<T>(
  parts: readonly object[],
  callback: () => T | Promise<T>,
): Promise<T> {
  const lent = usesOf(parts);
  for (const use of lent) use.lent = Promise.resolve();
  const called: Callback = { uses: lent, outer: callbacks.getStore() };
  try {
    return await callbacks.run(called, callback);
  } finally {
    called.ended = true;
    const begun = lent.map((use) => use.lent);
    for (const use of lent) use.lent = undefined;
    await Promise.all(begun);
  }
}

/**
 * Frees parts once all work that uses them has ended: at once if there is none. New work is refused
 * from now on.
 * @param free Called with those that have not been freed before.
 */
export function freeAfterUse<Part extends object>(
  parts: readonly Part[],
  free: (parts: Part[]) => void,
): void {
  const left = parts.filter((part) => !uses.get(part)?.freed);
  if (left.length === 0) return;
  const used = usesOf(left);
  for (const use of used) use.freed = true;
  if (used.every(({ count }) => count === 0)) free(left);
  else freeing = Promise.all([freeing, ...used.map(({ ended }) => ended)]).then(() => free(left));
}

let freeing: Promise<unknown> = Promise.resolve();

/**
 * Waits until what `freeAfterUse` was called for is freed.
 * @throws Error if a callback waits for the models of its own call.
 */
export async function allFreed(): Promise<void> {
  refuseOwn(({ freed }) => freed);
  await freeing;
}

/** Waits for `work`, but no longer than until the signal. It goes on then, if it is not stopped. */
export function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
