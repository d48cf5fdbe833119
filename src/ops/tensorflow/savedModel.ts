/**
 * The bytes of a TensorFlow SavedModel that holds one graph and no variables (`saved_model.proto`,
 * `graph.proto`, `attr_value.proto`).
 */
import { type Attribute, attributeTypes } from './binding.ts';

/** A constant's values. */
export interface TensorValue {
  dtype: number;
  shape: number[];
  bytes: Uint8Array;
}

/**
 * An operation, with the names of the outputs that it takes. A name after a caret is that of an
 * operation that only has to run before.
 */
export interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
  attributes: Attribute[];
  /** The attribute `value` of a constant. */
  value?: TensorValue;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}

// The wire format of protocol buffers: a field is its number and kind, followed by a number, four
// bytes, or a length and so many bytes.
function varint(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

const number = (field: number, value: number) => concat([varint(field << 3), varint(value)]);

function bytes(field: number, value: Uint8Array | string): Uint8Array {
  const content = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return concat([varint((field << 3) | 2), varint(content.length), content]);
}

function float(field: number, value: number): Uint8Array {
  const content = new Uint8Array(4);
  new DataView(content.buffer).setFloat32(0, value, true);
  return concat([varint((field << 3) | 5), content]);
}

const message = (field: number, ...parts: Uint8Array[]) => bytes(field, concat(parts));

const shapeProto = (shape: number[]) => concat(shape.map((size) => message(2, number(1, size))));

/** The fields of `AttrValue`, which are those of its `ListValue` too. */
function attributeField(type: number, value: unknown): Uint8Array {
  switch (type) {
    case attributeTypes.string:
      return bytes(2, value as string);
    case attributeTypes.int:
      return number(3, value as number);
    case attributeTypes.float:
      return float(4, value as number);
    case attributeTypes.bool:
      return number(5, value ? 1 : 0);
    case attributeTypes.type:
      return number(6, value as number);
    case attributeTypes.shape:
      return bytes(7, shapeProto(value as number[]));
  }
  throw new Error(`Attributes of type ${type} cannot be written into a graph.`);
}

function attributeValue({ type, value }: Attribute): Uint8Array {
  if (!Array.isArray(value) || type === attributeTypes.shape) return attributeField(type, value);
  return message(1, ...value.map((entry) => attributeField(type, entry)));
}

const tensorProto = ({ dtype, shape, bytes: content }: TensorValue) =>
  concat([number(1, dtype), bytes(2, shapeProto(shape)), bytes(4, content)]);

function nodeDef({ name, op, inputs, attributes, value }: GraphNode): Uint8Array {
  const entry = (key: string, attrValue: Uint8Array) =>
    message(5, bytes(1, key), bytes(2, attrValue));
  return concat([
    bytes(1, name),
    bytes(2, op),
    ...inputs.map((input) => bytes(3, input)),
    ...attributes.map((attribute) => entry(attribute.name, attributeValue(attribute))),
    ...(value ? [entry('value', message(8, tensorProto(value)))] : []),
  ]);
}

/** The tag that a session is loaded by. */
export const GRAPH_TAG = 'serve';

/** A graph as the content of `saved_model.pb`. */
export function savedModel(nodes: readonly GraphNode[]): Uint8Array {
  // The version of graphs with operations of TensorFlow 2.
  const versions = message(4, number(1, 1000), number(2, 12));
  const graph = concat([...nodes.map((node) => bytes(1, nodeDef(node))), versions]);
  return concat([number(1, 1), message(2, message(1, bytes(4, GRAPH_TAG)), bytes(2, graph))]);
}
