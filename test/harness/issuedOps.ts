/** The operations that the tensorflow backend asks libtensorflow to run. */
import { attributeTypes, dtypes, interceptBinding } from '../../src/ops/tensorflow/binding.ts';

/** An operation and the types it runs with, such as `Mean` and `{ T: 'float', Tidx: 'int32' }`. */
export interface IssuedOp {
  name: string;
  types: Record<string, string>;
}

/**
 * The operations that `work` issues, each combination of types once, their number, and the number
 * of times that values are read back.
 */
export async function issuedOps(
  work: () => Promise<unknown>,
): Promise<{ ops: IssuedOp[]; count: number; reads: number }> {
  const tensorflowNames: Record<string, string> = { float32: 'float', float16: 'half' };
  const types = new Map<unknown, string>(
    Object.entries(dtypes).map(([name, number]) => [number, tensorflowNames[name] ?? name]),
  );
  const typeOf = (number: unknown) => types.get(number) ?? `type ${number}`;
  const outputs = new Map<number, string>();
  const ops = new Map<string, IssuedOp>();
  let [count, reads] = [0, 0];
  using _ = interceptBinding((binding) => ({
    executeOp(name, attributes, inputs, number) {
      count++;
      const given = attributes
        .filter(({ type }) => type === attributeTypes.type)
        .map(({ name, value }) => [name, typeOf(value)]);
      // An operation without the attribute T takes its type from its first input.
      const first = outputs.get(inputs[0]!);
      const op = { name, types: { ...(first && { T: first }), ...Object.fromEntries(given) } };
      ops.set(JSON.stringify(op), op);
      const results = binding.executeOp(name, attributes, inputs, number);
      for (const { id, dtype } of results) outputs.set(id, typeOf(dtype));
      return results;
    },
    tensorDataSync(id) {
      reads++;
      return binding.tensorDataSync(id);
    },
  }));
  await work();
  return { ops: [...ops.values()], count, reads };
}
