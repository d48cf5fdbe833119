/**
 * The names under which TensorFlow.js saves and loads the layers. They begin with the package, so
 * that other layers may be called `Attention` or `Linear`, too.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Checks } from './checks.ts';

const packageName = 'stable-video-diffusion-tfjs';

/** A class of layers. */
export interface LayerClass {
  className: string;
  checks?: Checks;
  ignoresOthers?: boolean;
}

type Registered = tf.serialization.SerializableConstructor<tf.serialization.Serializable>;

/**
 * Registers a layer of this package. Models of its versions up to 0.2 have the name of the class
 * only. It leads to the layer as well, unless somebody else's class has it.
 */
export function registerLayer(cls: LayerClass): void {
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  const others = classNameMap[cls.className];
  tf.serialization.registerClass(cls as Registered, packageName); // under the name of the class only
  classNameMap[`${packageName}>${cls.className}`] = classNameMap[cls.className]!;
  if (others) classNameMap[cls.className] = others;
}

/** Whether a class is a layer of this package, and not one that is made of it. */
export const isOurs = (cls: LayerClass): boolean =>
  tf.serialization.getRegisteredName(cls as Registered).startsWith(`${packageName}>`);

/** The name of a class in saved models. */
export const savedName = (cls: LayerClass): string =>
  isOurs(cls) ? `${packageName}>${cls.className}` : cls.className;
