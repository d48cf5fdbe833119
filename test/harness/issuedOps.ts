/** What the tensorflow backend asks libtensorflow to do. */
import * as tf from '@tensorflow/tfjs';

interface Attribute {
  name: string;
  type: number;
  value: number;
}

interface Binding {
  [name: `TF_${string}`]: number;
  executeOp(
    kernel: string,
    attributes: Attribute[],
    inputs: number[],
    outputs: number,
  ): { id: number; dtype: number }[];
  tensorDataSync(id: number): unknown;
}

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
  const backend = tf.backend() as unknown as { binding: Binding };
  const { binding } = backend;
  const types = new Map<number, string>([
    [binding.TF_FLOAT, 'float'],
    [binding.TF_INT32, 'int32'],
    [binding.TF_BOOL, 'bool'],
    [binding.TF_UINT8, 'uint8'],
    [19, 'half'],
    [14, 'bfloat16'],
  ]);
  const typeOf = (number: number) => types.get(number) ?? `type ${number}`;
  const outputs = new Map<number, string>();
  const ops = new Map<string, IssuedOp>();
  let [count, reads] = [0, 0];
  backend.binding = Object.create(binding, {
    executeOp: {
      value: (name: string, attributes: Attribute[], inputs: number[], number: number) => {
        count++;
        const given = attributes
          .filter(({ type }) => type === binding.TF_ATTR_TYPE)
          .map(({ name, value }) => [name, typeOf(value)]);
        // An operation that is not told its type T takes it from its first input.
        const first = outputs.get(inputs[0]!);
        const op = { name, types: { ...(first && { T: first }), ...Object.fromEntries(given) } };
        ops.set(JSON.stringify(op), op);
        const results = binding.executeOp(name, attributes, inputs, number);
        for (const { id, dtype } of results) outputs.set(id, typeOf(dtype));
        return results;
      },
    },
    tensorDataSync: {
      value: (id: number) => {
        reads++;
        return binding.tensorDataSync(id);
      },
    },
  });
  try {
    await work();
  } finally {
    backend.binding = binding;
  }
  return { ops: [...ops.values()], count, reads };
}
